/** A flame graph with its search, folding, frame details and function table. */

import { fill, h } from "./dom.js";
import { describe, hint, showFrame } from "./frame_details.js";
import { FlameGraph } from "./flame_graph.js";
import { foldLibraries, hash } from "./flame_fold.js";
import { identity, sandwich } from "./flame_tree.js";
import { count, share } from "./format.js";
import { FunctionTable } from "./function_table.js";
import { legend, tones } from "./colours.js";
import { SourceView } from "./source_view.js";

/** @typedef {import("./flame_tree.js").Frame} Frame */

export class ProfileView {
  /**
   * @param {object} options
   * @param {Frame} options.root
   * @param {string} options.name the subject of the graph
   * @param {import("./measures.js").Measure} options.measure
   * @param {(frame: Frame) => Promise<any>} options.source asks for a function's source
   * @param {[string, string]} [options.sides] of a difference: the names of its sides
   * @param {import("./main.js").Surroundings["setView"]} options.setView
   * @param {AbortSignal} options.signal
   */
  constructor({ root, name, measure, source, sides, setView, signal }) {
    this.measure = measure;
    this.tree = { ...root, name };
    this.whole = this.tree; // the drawn part: the whole tree, or the callees of one function
    this.name = name;
    this.sides = sides ?? ["left", "right"];
    this.setView = setView;
    this.folded = true;
    /** @type {Set<string>} */
    this.opened = new Set();
    this.of = ""; // the function with its callers and callees shown
    const tone = tones(this.tree);
    this.tone = tone;
    const graph = { measure, signal, tone, describe: (/** @type {Frame} */ frame) => describe(frame, this.scale()) };
    this.graph = new FlameGraph({
      ...graph,
      onSelect: (index) => this.selected(index),
      onZoom: (index, step) => this.zoom(index, step),
      onEscape: () => this.reset(),
    });
    this.callers = new FlameGraph({
      ...graph,
      onSelect: (index) => this.showDetails(this.callers, index),
      onZoom: (index) => this.callers.zoom(index),
      onEscape: () => this.callers.zoom(0),
    });
    this.regex = h("button", { type: "button", "aria-pressed": "false", title: "Search with a regular expression", "aria-label": "Regular expression", on: { click: () => this.toggleRegex() } }, ".*");
    this.find = h("input", {
      type: "search", placeholder: "Search functions and files", "aria-label": "Search functions and files",
      "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false",
      on: {
        input: () => { this.search(this.find.value); this.setView({ find: this.find.value }); },
        keydown: (/** @type {KeyboardEvent} */ event) => this.pressedInSearch(event),
      },
    });
    this.found = h("span", { class: "found", role: "status" });
    this.steps = h("span", { class: "steps", hidden: true },
      h("button", { type: "button", "aria-label": "Previous match", on: { click: () => this.toHit(-1) } }, "↑"),
      h("button", { type: "button", "aria-label": "Next match", on: { click: () => this.toHit(1) } }, "↓"));
    this.fold = h("button", { type: "button", "aria-pressed": "true", on: { click: () => this.toggleFold() } }, "Fold libraries");
    this.unzoom = h("button", { type: "button", hidden: true, on: { click: () => this.zoom(0, true) } }, "Reset zoom");
    this.details = h("div");
    this.source = new SourceView({ ask: source, measure });
    this.table = new FunctionTable({ tree: this.tree, measure, sides: this.sides, onChoose: (entry) => this.go(entry) });
    this.above = h("div", { class: "callers" });
    this.element = h("div", { class: `profile${this.tree.left ? " difference" : ""}` },
      h("div", { class: "tools", role: "search" },
        h("span", { class: "find" }, this.find, this.found), this.steps, this.regex, this.fold, this.unzoom),
      this.above, this.graph.element, legend(tone, measure, sides),
      h("section", { class: "details", "aria-label": "Frame" }, this.details, this.source.element), this.table.element);
    this.draw();
  }

  scale() {
    return { whole: this.tree, measure: this.measure, sides: this.sides };
  }

  /** Show the view in the address. @param {URLSearchParams} params */
  apply(params) {
    const folded = params.get("fold") !== "0";
    const opened = new Set((params.get("open") ?? "").split(".").filter(Boolean));
    const of = params.get("function") ?? "";
    if (folded !== this.folded || of !== this.of || [...opened].join() !== [...this.opened].join()) {
      this.folded = folded;
      this.opened = opened;
      this.of = of;
      this.draw();
    }
    const find = params.get("find") ?? "";
    if (this.find.value !== find) this.find.value = find;
    this.regex.setAttribute("aria-pressed", String(params.get("regex") === "1"));
    this.search(find);
    const zoomed = this.graph.layout.follow(params.get("zoom") ?? "");
    if (zoomed !== this.graph.zoomed) {
      this.graph.zoom(zoomed);
      this.showDetails(this.graph, this.graph.selected);
    }
    this.unzoom.hidden = zoomed === 0;
  }

  draw() {
    const parts = this.of ? this.partsOf(this.of) : null;
    this.whole = parts ? parts.callees : this.tree;
    const keys = "Arrow keys move, Enter zooms, Escape goes back to the whole.";
    if (parts) {
      const name = parts.callees.name || "(unknown)";
      fill(this.above,
        h("p", { class: "notice" }, "All calls of ", h("code", {}, name), " together. ",
          h("button", { type: "button", on: { click: () => this.focusOn("") } }, "Back to the whole")),
        h("h3", {}, "Who calls it ", h("span", { class: "quiet" }, "downwards: its callers, then theirs")), this.callers.element,
        h("h3", {}, "What it calls"));
      this.callers.setTree(parts.callers, `Callers of ${name}. ${keys}`);
    } else fill(this.above);
    // Do not fold the callees of a library function: they are what the reader asked for.
    const folds = this.folded && (!parts || parts.callees.own);
    this.graph.setTree(folds ? foldLibraries(this.whole, this.opened) : this.whole, `Flame graph of ${this.name}. ${keys}`);
    this.fold.setAttribute("aria-pressed", String(this.folded));
    this.unzoom.hidden = true;
    this.search(this.find.value);
    this.showDetails(this.graph, 0);
    this.table.show(!this.folded);
  }

  /** @param {string} of the hash of a function */
  partsOf(of) {
    let wanted = "";
    /** @param {Frame} frame */
    const look = (frame) => {
      if (!wanted && hash(identity(frame)) === of) wanted = identity(frame);
      frame.children.forEach(look);
    };
    this.tree.children.forEach(look);
    return wanted ? sandwich(this.tree, wanted) : null;
  }

  /** @param {string} of the hash of a function, or "" for the whole */
  focusOn(of) {
    this.of = of;
    this.draw();
    this.setView({ function: of, zoom: null, open: null }, true);
    this.element.scrollIntoView({ block: "nearest" });
    this.graph.scroller.focus({ preventScroll: true });
  }

  toggleFold() {
    this.folded = !this.folded;
    this.opened.clear();
    this.draw();
    this.setView({ fold: this.folded ? null : "0", zoom: null, open: null });
  }

  /** Open or close one fold. @param {string} key */
  toggleOne(key) {
    const opens = !this.opened.delete(key);
    if (opens) this.opened.add(key);
    this.draw();
    this.setView({ open: [...this.opened].join("."), zoom: null }, true);
    const { frames } = this.graph.layout;
    const at = frames.findIndex((frame) => (opens ? frame.openedBy === key : frame.fold?.key === key));
    if (at < 0) return;
    this.graph.select(at);
    this.showDetails(this.graph, at);
  }

  /** A frame was selected in the graph. @param {number} index */
  selected(index) {
    const { fold } = this.graph.layout.frames[index];
    if (fold && this.graph.byPointer) this.toggleOne(fold.key);
    else this.showDetails(this.graph, index);
  }

  /**
   * @param {number} index
   * @param {boolean} step whether Back undoes it
   */
  zoom(index, step) {
    const { fold } = this.graph.layout.frames[index];
    if (fold && step) {
      this.toggleOne(fold.key);
      return;
    }
    this.graph.zoom(index);
    this.unzoom.hidden = index === 0;
    this.showDetails(this.graph, this.graph.selected);
    this.setView({ zoom: this.graph.layout.path(index) }, step);
  }

  reset() {
    if (this.graph.zoomed !== 0) this.zoom(0, true);
    else if (this.find.value) this.clearSearch();
    else if (this.of) this.focusOn("");
  }

  clearSearch() {
    this.find.value = "";
    this.search("");
    this.setView({ find: null });
  }

  toggleRegex() {
    const on = this.regex.getAttribute("aria-pressed") !== "true";
    this.regex.setAttribute("aria-pressed", String(on));
    this.search(this.find.value);
    this.setView({ regex: on ? "1" : null });
  }

  /** @param {KeyboardEvent} event */
  pressedInSearch(event) {
    if (event.key === "Escape") {
      this.clearSearch();
      this.graph.scroller.focus();
    } else if (event.key === "Enter" && this.graph.hits?.size) this.toHit(event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
  }

  /** The widest match first, then on to the next. @param {1 | -1} direction */
  toHit(direction) {
    const { widths } = this.graph.layout;
    const hits = [...this.graph.hits ?? []].sort((a, b) => widths[b] - widths[a] || a - b);
    if (!hits.length) return;
    const at = hits.indexOf(this.graph.selected);
    const next = hits[at < 0 && direction < 0 ? hits.length - 1 : (at + direction + hits.length) % hits.length];
    if (!this.graph.layout.holds(this.graph.zoomed, next)) this.zoom(0, false);
    this.graph.select(next);
    this.showDetails(this.graph, next);
  }

  /** @param {string} text */
  search(text) {
    this.find.setAttribute("aria-invalid", "false");
    this.steps.hidden = true;
    if (!text) {
      this.graph.highlight(null);
      this.found.textContent = "";
      return;
    }
    let pattern;
    try {
      const plain = this.regex.getAttribute("aria-pressed") !== "true";
      pattern = new RegExp(plain ? text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : text, "i");
    } catch {
      this.graph.highlight(null);
      this.find.setAttribute("aria-invalid", "true");
      this.found.textContent = "not a pattern";
      return;
    }
    const { hits, covered } = this.graph.layout.search(pattern);
    this.graph.highlight(hits.size ? hits : null);
    this.steps.hidden = hits.size < 2;
    this.found.textContent = hits.size ? `${count(hits.size, "frame")}, ${share(covered, 1)}` : "no match";
  }

  /** @param {FlameGraph} graph @param {number} index */
  showDetails(graph, index) {
    const frame = graph.layout.frames[index];
    if (index === 0) {
      fill(this.details, hint());
      this.source.hide();
      return;
    }
    const { key } = frame.fold ?? { key: "" };
    const action = (/** @type {string} */ text, /** @type {() => void} */ click) => h("button", { type: "button", on: { click } }, text);
    showFrame(this.details, frame, graph.layout.stack(index), this.scale(), [
      key && action("Open this fold", () => this.toggleOne(key)),
      frame.openedBy && graph === this.graph && action("Fold it again", () => this.toggleOne(frame.openedBy)),
      graph === this.graph && !key && index !== graph.zoomed && action("Zoom here", () => this.zoom(index, true)),
      !frame.fold?.packages.length && hash(identity(frame)) !== this.of && action("Callers and callees", () => this.focusOn(hash(identity(frame)))),
    ]);
    if (frame.fold?.packages.length || !frame.file) this.source.hide();
    else this.source.show(frame);
  }

  /** Go to the widest frame of a function. @param {Frame} entry */
  go(entry) {
    if (this.of) this.focusOn("");
    if (this.widest(entry) < 0) this.toggleFold(); // the function is folded
    const best = this.widest(entry);
    const { layout } = this.graph;
    if (!layout.holds(this.graph.zoomed, best)) this.zoom(0, false);
    this.graph.select(best);
    this.showDetails(this.graph, best);
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
}
