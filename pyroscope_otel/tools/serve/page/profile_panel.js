/** The flame graphs of a request, a route or a difference: one of CPU time, two of memory. */

import { fill, h } from "./dom.js";
import { count } from "./format.js";
import { CPU, MEASURES, measureOf } from "./measures.js";
import { ProfileView } from "./profile_view.js";

/** @typedef {import("./measures.js").Measure} Measure */

export class ProfilePanel {
  /**
   * @param {object} options
   * @param {string} options.title of the panel
   * @param {string} options.name the subject of the graphs
   * @param {(measure: Measure) => Promise<any>} options.ask for a graph
   * @param {(node: any, measure: Measure) => import("./flame_tree.js").Frame} options.tree of a graph's root
   * @param {(measure: Measure) => Node} options.missing the message for an empty graph
   * @param {(frame: import("./flame_tree.js").Frame, measure: Measure) => Promise<any>} options.source
   * @param {(graph: any, measure: Measure) => any} [options.above] shown above the graph
   * @param {(measure: Measure) => any} [options.below] shown below the graph
   * @param {[string, string]} [options.sides] of a difference
   * @param {import("./main.js").Surroundings} options.around
   */
  constructor({ title, name, ask, tree, source, missing, above, below, sides, around }) {
    this.name = name;
    this.ask = ask;
    this.tree = tree;
    this.source = source;
    this.missing = missing;
    this.above = above ?? (() => null);
    this.below = below ?? (() => null);
    this.sides = sides;
    this.around = around;
    this.measure = CPU;
    /** @type {ProfileView | null} */
    this.view = null;
    this.samples = h("span", { class: "quiet" });
    this.body = h("div");
    this.tabs = h("div", { class: "measures", role: "group", "aria-label": "What is measured" });
    this.element = h("section", { class: "panel", "aria-labelledby": "profile-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "profile-title" }, title, " ", this.samples), this.tabs),
      this.body);
  }

  /**
   * Load the current data, and show the view in the address.
   *
   * @param {URLSearchParams} params
   */
  async load(params) {
    const measure = measureOf(params.get("type"));
    this.measure = measure;
    const graph = await this.ask(measure);
    // Another measure may have been chosen meanwhile.
    if (this.around.signal.aborted || measure !== this.measure) return;
    this.showTabs();
    const root = this.tree(graph.root, measure);
    this.samples.textContent = [
      measure === CPU && graph.samples && count(graph.samples, "sample"),
      graph.requests > 1 && `${measure.text(root.total / graph.requests)} a request`,
    ].filter(Boolean).join(", ");
    this.view = root.total > 0
      ? new ProfileView({
        root, name: this.name, measure, sides: this.sides, source: (frame) => this.source(frame, measure),
        setView: this.around.setView, signal: this.around.signal,
      })
      : null;
    fill(this.body, this.above(graph, measure), this.view ? this.view.element : this.missing(measure), this.view && this.below(measure));
    this.view?.apply(params);
  }

  /** @param {URLSearchParams} params */
  async apply(params) {
    if (measureOf(params.get("type")) === this.measure) this.view?.apply(params);
    else await this.load(params);
  }

  /** CPU and Memory; under Memory, bytes and objects. */
  showTabs() {
    const groups = [...new Set(MEASURES.map((measure) => measure.group))];
    const kinds = MEASURES.filter((measure) => measure.group === this.measure.group);
    fill(this.tabs,
      groups.map((group) => this.tab(group, group === this.measure.group, MEASURES.find((each) => each.group === group) ?? CPU)),
      kinds.length > 1 && h("span", { class: "kinds" },
        kinds.map((kind) => this.tab(kind.suffix, kind === this.measure, kind))));
  }

  /**
   * @param {string} text
   * @param {boolean} pressed
   * @param {Measure} measure
   */
  tab(text, pressed, measure) {
    return h("button", {
      type: "button", "aria-pressed": String(pressed), on: { click: () => this.choose(measure) },
    }, text);
  }

  /** @param {Measure} measure */
  async choose(measure) {
    if (measure === this.measure) return;
    // A path in one tree is meaningless in another.
    this.around.setView({ type: measure === CPU ? null : measure.type, zoom: null, open: null, function: null }, true);
    await this.load(new URLSearchParams(location.hash.split("?")[1] ?? ""));
    const pressed = [...this.tabs.querySelectorAll("[aria-pressed=true]")];
    /** @type {HTMLElement | undefined} */ (pressed[pressed.length - 1])?.focus();
  }
}
