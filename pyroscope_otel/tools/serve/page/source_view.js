/** The source lines of a function with their values, and a link to an editor. */

import { fill, h } from "./dom.js";
import { identity } from "./flame_tree.js";

/** @typedef {import("./flame_tree.js").Frame} Frame */

const KEY = "pyroscope-otel editor";
const EDITORS = {
  "VS Code": "vscode://file/{file}:{line}",
  Cursor: "cursor://file/{file}:{line}",
  PyCharm: "pycharm://open?file={file}&line={line}",
  "Sublime Text": "subl://open?url=file://{file}&line={line}",
  Zed: "zed://file/{file}:{line}",
};
// The browser would open these itself: as a request, or as code.
const FORBIDDEN = /^(https?|javascript|data|blob|vbscript|file|about|ftp|wss?|view-source):/i;

export class SourceView {
  /**
   * @param {object} options
   * @param {(frame: Frame) => Promise<any>} options.ask
   * @param {import("./measures.js").Measure} options.measure
   */
  constructor({ ask, measure }) {
    this.ask = ask;
    this.measure = measure;
    this.element = h("div", { class: "source" });
    this.shown = "";
    /** @type {Map<string, any>} */
    this.known = new Map();
  }

  hide() {
    this.shown = "";
    fill(this.element);
  }

  /** @param {Frame} frame */
  async show(frame) {
    const key = identity(frame);
    if (key === this.shown) return;
    this.shown = key;
    fill(this.element);
    let found = this.known.get(key);
    if (!found) {
      try {
        found = await this.ask(frame);
      } catch {
        return; // the top of the page says that the server is gone
      }
      this.known.set(key, found);
    }
    if (key === this.shown) this.draw(found);
  }

  /** @param {any} found */
  draw(found) {
    const { suffix, text, cell } = this.measure;
    const most = Math.max(1, ...found.lines.map((/** @type {any} */ line) => line[`total_${suffix}`] ?? 0));
    fill(this.element,
      h("div", { class: "source-head" }, h("b", {}, "Source"), found.path && editor(found.path, found.line)),
      found.reason && h("p", { class: "quiet" }, `Its lines cannot be shown: ${found.reason}.`),
      h("table", { class: "lines", tabindex: "0", "aria-label": `Source of ${found.function}` }, h("tbody", {},
        found.lines.map((/** @type {any} */ line) => {
          const total = line[`total_${suffix}`];
          const self = line[`self_${suffix}`];
          const title = total ? `${text(total)}, of which ${text(self)} on the line itself` : null;
          return h("tr", { class: line.number === found.line ? "hottest" : null, title },
            h("td", { class: "number" }, total ? cell(total) : ""),
            h("td", { class: "heat", "aria-hidden": "true" }, total ? h("i", { style: { "inline-size": `${(100 * total) / most}%` } }) : null),
            h("th", { scope: "row" }, String(line.number)),
            h("td", { class: "code" }, h("code", {}, line.text ?? "")));
        }))));
    const hottest = /** @type {HTMLElement | null} */ (this.element.querySelector(".hottest"));
    const table = /** @type {HTMLElement | null} */ (this.element.querySelector(".lines"));
    if (hottest && table) table.scrollTop = hottest.offsetTop - table.clientHeight / 2;
  }
}

/**
 * A link that opens a file in the reader's editor, and a choice of editors.
 *
 * @param {string} file
 * @param {number} line
 */
function editor(file, line) {
  const link = document.createElement("a");
  link.textContent = "Open in editor";
  const names = Object.keys(EDITORS);
  const chosen = template();
  const own = h("input", {
    type: "text", "aria-label": "Address with {file} and {line}", value: chosen, spellcheck: "false", autocomplete: "off",
    on: { change: () => set(own.value) },
  });
  const select = h("select", { "aria-label": "Editor", on: { change: () => choose() } },
    names.map((name) => h("option", { value: name }, name)), h("option", { value: "" }, "Another"));
  /** @param {string} value */
  const set = (value) => {
    const fine = /^[a-z][a-z0-9+.-]*:/i.test(value) && !FORBIDDEN.test(value) && value.includes("{file}");
    own.setAttribute("aria-invalid", String(!fine));
    own.value = value;
    select.value = names.find((name) => /** @type {Record<string, string>} */ (EDITORS)[name] === value) ?? "";
    own.hidden = select.value !== "";
    if (!fine) return;
    try {
      localStorage.setItem(KEY, value);
    } catch {
      // Storage is not allowed: keep the choice until the page is left.
    }
    const path = file.split("/").map(encodeURIComponent).join("/");
    link.href = value.replaceAll("{file}", () => path.replace(/^\//, value.includes("file/{file}") ? "" : "/")).replaceAll("{line}", String(line));
  };
  const choose = () => {
    const known = /** @type {Record<string, string>} */ (EDITORS)[select.value];
    if (known) set(known);
    else {
      own.hidden = false;
      own.select();
    }
  };
  set(chosen);
  return h("span", { class: "editor" }, link, select, own);
}

function template() {
  try {
    return localStorage.getItem(KEY) ?? EDITORS["VS Code"];
  } catch {
    return EDITORS["VS Code"];
  }
}
