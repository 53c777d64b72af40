/** A flame graph with what belongs to it: search, folding, a frame's details, functions. */

import { copyButton, fill, h } from "./dom.js";
import { FlameGraph } from "./flame_graph.js";
import { foldFrameworks, functions, identity, more } from "./flame_tree.js";
import { count, place, share, shortFile } from "./format.js";
import { change } from "./measures.js";

/** @typedef {import("./flame_tree.js").Frame} Frame */

const SHOWN = 12; // functions listed at first; those that only call others are not

export class ProfileView {
  /**
   * @param {object} options
   * @param {Frame} options.root
   * @param {string} options.name what the graph is of
   * @param {import("./measures.js").Measure} options.measure
   * @param {[string, string]} [options.sides] of a difference: what its left and right are called
   * @param {import("./main.js").Surroundings["setView"]} options.setView
   * @param {AbortSignal} options.signal
   */
  constructor({ root, name, measure, sides, setView, signal }) {
    this.measure = measure;
    this.tree = { ...root, name };
    this.name = name;
    this.sides = sides ?? ["left", "right"];
    this.difference = root.left !== null;
    this.setView = setView;
    this.folded = true;
    this.graph = new FlameGraph({
      onSelect: (index) => this.showDetails(index),
      onZoom: (index, step) => this.zoom(index, step),
      onEscape: () => this.reset(),
      describe: (frame) => this.describe(frame),
      measure,
      signal,
    });
    this.find = h("input", {
      type: "search", placeholder: "Search functions and files", "aria-label": "Search functions and files",
      "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false",
      on: {
        input: () => { this.search(this.find.value); this.setView({ find: this.find.value }); },
        keydown: (/** @type {KeyboardEvent} */ event) => this.pressedInSearch(event),
      },
    });
    this.found = h("span", { class: "found", role: "status" });
    this.fold = h("button", { type: "button", "aria-pressed": "true", on: { click: () => this.toggleFold() } }, "Fold frameworks");
    this.unzoom = h("button", { type: "button", hidden: true, on: { click: () => this.zoom(0, true) } }, "Reset zoom");
    this.details = h("section", { class: "details", "aria-label": "Frame" });
    this.table = h("section", { class: "functions", "aria-label": "Functions" });
    this.element = h("div", { class: `profile${this.difference ? " difference" : ""}` },
      h("div", { class: "tools", role: "search" },
        h("span", { class: "find" }, this.find, this.found), this.fold, this.unzoom),
      this.graph.element, this.legend(), this.details, this.table);
    this.draw();
    this.showFunctions(false);
  }

  /** Show what the address says. @param {URLSearchParams} params */
  apply(params) {
    const folded = params.get("fold") !== "0";
    if (folded !== this.folded) {
      this.folded = folded;
      this.draw();
    }
    const find = params.get("find") ?? "";
    if (this.find.value !== find) this.find.value = find;
    this.search(find);
    const zoomed = this.graph.layout.follow(params.get("zoom") ?? "");
    if (zoomed !== this.graph.zoomed) {
      this.graph.zoom(zoomed);
      this.showDetails(this.graph.selected);
    }
    this.unzoom.hidden = zoomed === 0;
  }

  draw() {
    const tree = this.folded ? foldFrameworks(this.tree) : this.tree;
    this.fold.setAttribute("aria-pressed", String(this.folded));
    this.graph.setTree(tree, `Flame graph of ${this.name}. Arrow keys move, Enter zooms, Escape goes back to the whole.`);
    this.unzoom.hidden = true;
    this.search(this.find.value);
    this.showDetails(0);
  }

  toggleFold() {
    this.folded = !this.folded;
    this.draw();
    this.setView({ fold: this.folded ? null : "0", zoom: null });
  }

  /**
   * @param {number} index
   * @param {boolean} step whether Back undoes it
   */
  zoom(index, step) {
    this.graph.zoom(index);
    this.unzoom.hidden = index === 0;
    this.showDetails(this.graph.selected);
    this.setView({ zoom: this.graph.layout.path(index) }, step);
  }

  reset() {
    if (this.graph.zoomed !== 0) this.zoom(0, true);
    else if (this.find.value) this.clearSearch();
  }

  clearSearch() {
    this.find.value = "";
    this.search("");
    this.setView({ find: null });
  }

  /** @param {KeyboardEvent} event */
  pressedInSearch(event) {
    if (event.key === "Escape") {
      this.clearSearch();
      this.graph.scroller.focus();
    } else if (event.key === "Enter" && this.graph.hits?.size) {
      // The widest hit first, then on to the next.
      const { widths } = this.graph.layout;
      const hits = [...this.graph.hits].sort((a, b) => widths[b] - widths[a] || a - b);
      const next = hits[(hits.indexOf(this.graph.selected) + 1) % hits.length];
      if (!this.graph.layout.holds(this.graph.zoomed, next)) this.zoom(0, false);
      this.graph.select(next);
      this.showDetails(next);
    } else return;
    event.preventDefault();
  }

  /** @param {string} text */
  search(text) {
    if (!text) {
      this.graph.highlight(null);
      this.found.textContent = "";
      return;
    }
    const { hits, covered } = this.graph.layout.search(text);
    this.graph.highlight(hits.size ? hits : null);
    this.found.textContent = hits.size ? `${count(hits.size, "frame")}, ${share(covered, 1)}` : "no match";
  }

  /** @param {Frame} frame */
  describe(frame) {
    const whole = this.tree;
    const { text } = this.measure;
    const where = frame.folds ? `folded: ${frame.file}` : frame.file && `${place({ ...frame, file: shortFile(frame.file) })}`;
    const lines = [frame.name || "(unknown)", where];
    if (frame.left && frame.right) {
      lines.push(`${text(frame.left.total)} ${this.sides[0]}, ${text(frame.right.total)} ${this.sides[1]}: ${change(this.measure, more(frame))}`);
    } else {
      lines.push(`${text(frame.total)}, ${share(frame.total, whole.total)}`);
      if (frame.self > 0 && frame.children.length) lines.push(`${text(frame.self)} self`);
    }
    if (frame.file) lines.push(frame.own ? "own code" : "library");
    return lines.filter(Boolean);
  }

  /** @param {number} index */
  showDetails(index) {
    const { layout } = this.graph;
    const frame = layout.frames[index];
    if (index === 0) {
      fill(this.details, h("p", { class: "hint" },
        h("span", { class: "pointer-hint" }, "Select a frame for its file and line; select it again to zoom. "),
        h("span", { class: "key-hint" }, h("kbd", {}, "/"), " search ", h("kbd", {}, "←↑↓→"), " move ", h("kbd", {}, "Enter"), " zoom ", h("kbd", {}, "Esc"), " back")));
      return;
    }
    const whole = this.tree;
    const { text } = this.measure;
    const times = frame.left && frame.right
      ? [
        [this.sides[0], text(frame.left.total)], [this.sides[1], text(frame.right.total)],
        ["change", change(this.measure, more(frame))],
      ]
      : [
        ["total", `${text(frame.total)}, ${share(frame.total, whole.total)}`],
        ["self", `${text(frame.self)}, ${share(frame.self, whole.total)}`],
      ];
    fill(this.details,
      h("h3", {}, h("code", {}, frame.name || "(unknown)"), " ", kind(frame)),
      frame.file && h("p", { class: "place" },
        h("code", {}, frame.folds ? frame.file : place(frame)),
        !frame.folds && copyButton(place(frame), "file and line")),
      h("dl", { class: "facts" }, times.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      index !== this.graph.zoomed && h("button", { type: "button", on: { click: () => this.zoom(index, true) } }, "Zoom here"));
  }

  /** @param {boolean} all */
  showFunctions(all) {
    const found = functions(this.tree);
    if (this.difference) found.sort((a, b) => Math.abs(selfChange(b)) - Math.abs(selfChange(a)));
    const whole = this.tree;
    const { text, least, own } = this.measure;
    const columns = this.difference
      ? [`Self, ${this.sides[0]}`, `Self, ${this.sides[1]}`, "Change"] : ["Self", "Total", "Share"];
    const telling = found.filter((entry) => (this.difference ? Math.abs(selfChange(entry)) >= least : entry.self > 0));
    const shown = all ? found : telling.slice(0, SHOWN);
    const rows = shown.map((entry) => {
      const values = entry.left && entry.right
        ? [text(entry.left.self), text(entry.right.self), change(this.measure, selfChange(entry))]
        : [text(entry.self), text(entry.total), share(entry.self, whole.total)];
      return h("tr", {},
        h("th", { scope: "row" },
          h("button", { type: "button", class: `function ${entry.own ? "own" : "library"}`, on: { click: () => this.go(entry) } },
            h("code", { class: "name" }, entry.name || "(unknown)"),
            h("code", { class: "file" }, shortFile(entry.file)),
            h("span", { class: "unseen" }, entry.own ? ", own code" : ", library"))),
        values.map((value, column) => h("td", { class: `number${this.difference && column === 2 ? ` ${sign(selfChange(entry), least)}` : ""}` }, value)));
    });
    fill(this.table,
      h("div", { class: "scroll" }, h("table", {},
        h("caption", {}, this.difference ? `Functions, by the difference in ${own}` : `Functions, by ${own}`),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Function"), columns.map((name) => h("th", { scope: "col", class: "number" }, name)))),
        h("tbody", {}, rows))),
      !all && found.length > shown.length && h("button", { type: "button", class: "show-more", on: { click: () => this.showFunctions(true) } }, `Show all ${found.length} functions`));
  }

  /** Go to the widest frame of a function. @param {Frame} entry */
  go(entry) {
    if (this.widest(entry) < 0) this.toggleFold(); // it is in a folded frame
    const best = this.widest(entry);
    const { layout } = this.graph;
    if (!layout.holds(this.graph.zoomed, best)) this.zoom(0, false);
    this.graph.select(best);
    this.showDetails(best);
    this.graph.element.scrollIntoView({ block: "nearest" });
  }

  /** @param {Frame} entry */
  widest(entry) {
    const { frames, widths } = this.graph.layout;
    let best = -1;
    frames.forEach((frame, index) => {
      if (index && identity(frame) === identity(entry) && (best < 0 || widths[index] > widths[best])) best = index;
    });
    return best;
  }

  legend() {
    if (this.difference) {
      return h("p", { class: "legend" },
        h("span", {}, h("i", { class: "swatch more" }), `more in ${this.sides[0]} (+)`),
        h("span", {}, h("i", { class: "swatch less" }), `less in ${this.sides[0]} (−)`),
        h("span", {}, h("i", { class: "swatch same" }), "the same"),
        h("span", {}, h("i", { class: "swatch own-edge" }), h("b", {}, "own code")),
        h("span", {}, "width: both together"));
    }
    return h("p", { class: "legend" },
      h("span", {}, h("i", { class: "swatch own" }), h("b", {}, "own code"), ", a tone for each file"),
      h("span", {}, h("i", { class: "swatch library" }), "library"),
      h("span", {}, `width: ${this.measure.width}`));
  }
}

/** @param {Frame} frame */
function kind(frame) {
  if (frame.folds) return h("span", { class: "tag" }, "folded frameworks");
  return h("span", { class: frame.own ? "tag own" : "tag" }, frame.own ? "own code" : "library");
}

/** @param {Frame} frame */
function selfChange(frame) {
  return (frame.left?.self ?? 0) - (frame.right?.self ?? 0);
}

/** @param {number} value @param {number} least */
function sign(value, least) {
  return Math.abs(value) < least ? "" : value > 0 ? "plus" : "minus";
}
