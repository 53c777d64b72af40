/** The functions of a profile as a table, sorted by any of its columns. */

import { fill, h } from "./dom.js";
import { identity, functions } from "./flame_tree.js";
import { share, shortFile } from "./format.js";
import { change } from "./measures.js";

/** @typedef {import("./flame_tree.js").Frame} Frame */

const SHOWN = 12; // functions listed at first, without those that only call others

export class FunctionTable {
  /**
   * @param {object} options
   * @param {Frame} options.tree
   * @param {import("./measures.js").Measure} options.measure
   * @param {[string, string]} options.sides
   * @param {(entry: Frame) => void} options.onChoose
   */
  constructor({ tree, measure, sides, onChoose }) {
    this.tree = tree;
    this.measure = measure;
    this.sides = sides;
    this.onChoose = onChoose;
    this.difference = tree.left !== null;
    this.libraries = false;
    this.all = false;
    this.sorted = this.difference ? 2 : 0;
    this.element = h("section", { class: "functions", "aria-label": "Functions" });
  }

  /** @param {boolean} libraries whether they get their own rows, or count as part of their callers */
  show(libraries) {
    this.libraries = libraries;
    this.draw();
  }

  /**
   * The columns: the name, the sort key, and the displayed text.
   *
   * @returns {[string, (entry: Frame) => number, (entry: Frame) => string][]}
   */
  columns() {
    const { cell } = this.measure;
    const own = this.libraries ? "Self" : "Own";
    if (this.difference) {
      return [
        [`${own}, ${this.sides[0]}`, (entry) => entry.left?.self ?? 0, (entry) => cell(entry.left?.self ?? 0)],
        [`${own}, ${this.sides[1]}`, (entry) => entry.right?.self ?? 0, (entry) => cell(entry.right?.self ?? 0)],
        ["Change", (entry) => Math.abs(selfChange(entry)), (entry) => change(this.measure, selfChange(entry), cell)],
      ];
    }
    return [
      [own, (entry) => entry.self, (entry) => cell(entry.self)],
      ["Total", (entry) => entry.total, (entry) => cell(entry.total)],
      ["Share", (entry) => entry.self, (entry) => share(entry.self, this.tree.total)],
    ];
  }

  draw() {
    const { least, own } = this.measure;
    const columns = this.columns();
    const found = functions(this.tree, this.libraries);
    const value = columns[this.sorted][1];
    found.sort((a, b) => value(b) - value(a) || b.total - a.total);
    const telling = found.filter((entry) => (this.difference ? Math.abs(selfChange(entry)) >= least : entry.self > 0));
    const shown = this.all ? found : telling.slice(0, SHOWN);
    const what = this.libraries ? own : `${own}, with the libraries they call`;
    fill(this.element,
      h("div", { class: "scroll" }, h("table", {},
        h("caption", {}, this.difference ? `Functions, by the difference in ${what}` : `Functions, by ${what}`),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Function"), columns.map(([name], at) =>
          h("th", { scope: "col", class: "number", "aria-sort": at === this.sorted ? "descending" : null },
            h("button", { type: "button", class: "sort", on: { click: () => this.sort(at) } }, name))))),
        h("tbody", {}, shown.map((entry) => this.row(entry, columns))))),
      !this.all && found.length > shown.length && h("button", {
        type: "button", class: "show-more", on: { click: () => { this.all = true; this.draw(); } },
      }, `Show all ${found.length} functions`));
  }

  /** @param {number} at */
  sort(at) {
    this.sorted = at;
    this.draw();
    /** @type {HTMLElement} */ (this.element.querySelectorAll("button.sort")[at]).focus();
  }

  /** @param {Frame} entry @param {ReturnType<FunctionTable["columns"]>} columns */
  row(entry, columns) {
    const sign = this.difference ? signOf(selfChange(entry), this.measure.least) : "";
    return h("tr", { "data-function": identity(entry) },
      h("th", { scope: "row" },
        h("button", { type: "button", class: `function ${entry.own ? "own" : "library"}`, on: { click: () => this.onChoose(entry) } },
          h("code", { class: "name" }, entry.name || "(unknown)"),
          h("code", { class: "file" }, shortFile(entry.file)),
          h("span", { class: "unseen" }, entry.own ? ", own code" : ", library"))),
      columns.map(([, , text], at) => h("td", { class: `number ${at === 2 ? sign : ""}` }, text(entry))));
  }
}

/** @param {Frame} entry */
function selfChange(entry) {
  return (entry.left?.self ?? 0) - (entry.right?.self ?? 0);
}

/** @param {number} value @param {number} least */
function signOf(value, least) {
  return Math.abs(value) < least ? "" : value > 0 ? "plus" : "minus";
}
