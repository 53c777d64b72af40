/**
 * The flame graph, with the root at the top, on a canvas of the size of the visible part.
 *
 * A profile of a route has thousands of frames, for which elements would be slow. The canvas only
 * draws visible rows, and frames wider than half a pixel. Screen readers get the selected frame
 * as text (`speak`), and the table of functions.
 */

import { fill, h } from "./dom.js";
import { count } from "./format.js";
import { FlameLayout } from "./flame_layout.js";
import { painter } from "./flame_paint.js";

const ROW = 21;

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

export class FlameGraph {
  /**
   * @param {object} options
   * @param {(index: number) => void} options.onSelect
   * @param {(index: number, step: boolean) => void} options.onZoom
   * @param {() => void} options.onEscape
   * @param {(frame: import("./flame_tree.js").Frame) => string[]} options.describe lines for the tooltip and the screen reader
   * @param {import("./measures.js").Measure} options.measure
   * @param {import("./colours.js").Tones} options.tone
   * @param {AbortSignal} options.signal
   */
  constructor({ onSelect, onZoom, onEscape, describe, measure, tone, signal }) {
    this.tone = tone;
    this.measure = measure;
    this.onSelect = onSelect;
    this.onZoom = onZoom;
    this.onEscape = onEscape;
    this.describe = describe;
    this.canvas = h("canvas", { class: "flame-canvas", "aria-hidden": "true" });
    this.space = h("div", { class: "flame-space" }, this.canvas);
    this.spoken = h("p", { class: "unseen", "aria-live": "polite" });
    this.tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.scroller = h("div", {
      class: "flame", tabindex: "0", role: "application", "aria-roledescription": "flame graph",
      on: {
        keydown: (/** @type {KeyboardEvent} */ event) => this.pressed(event),
        scroll: () => this.draw(),
        focus: () => this.draw(),
        blur: () => this.draw(),
      },
    }, this.space);
    this.cue = h("button", { type: "button", class: "cue", hidden: true, tabindex: "-1", on: { click: () => this.scrollOn() } });
    this.element = h("div", { class: "flame-frame" }, this.scroller, this.cue, this.tip, this.spoken);
    this.canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.canvas.addEventListener("click", (/** @type {MouseEvent} */ event) => this.clicked(event));
    this.selected = 0;
    this.zoomed = 0;
    this.hovered = -1;
    /** @type {Set<number> | null} */
    this.hits = null;
    this.from = 0; // the visible part of the whole, from 0 to 1
    this.to = 1;
    this.width = 0;
    this.sliding = 0;
    this.byPointer = false; // whether the selection was made with a pointer
    this.layout = new FlameLayout({ name: "", file: "", line: 0, own: false, fold: null, folds: "", openedBy: "", total: 0, self: 0, left: null, right: null, children: [] });
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(this.scroller);
    signal.addEventListener("abort", () => sizes.disconnect());
    dark.addEventListener("change", () => this.draw(), { signal });
  }

  /**
   * @param {import("./flame_tree.js").Frame} root
   * @param {string} label
   */
  setTree(root, label) {
    cancelAnimationFrame(this.sliding);
    this.layout = new FlameLayout(root);
    this.selected = 0;
    this.zoomed = 0;
    this.hovered = -1;
    this.hits = null;
    this.from = 0;
    this.to = 1;
    this.space.style.setProperty("block-size", `${this.layout.rows.length * ROW}px`);
    this.scroller.setAttribute("aria-label", label);
    this.scroller.scrollTop = 0;
    this.resize();
  }

  /** @param {number} index */
  select(index) {
    this.selected = index;
    this.reveal(index);
    this.speak(index);
    this.draw();
  }

  /** @param {number} index */
  zoom(index) {
    this.zoomed = index;
    const from = this.layout.starts[index];
    const to = from + this.layout.widths[index];
    if (!this.layout.holds(index, this.selected)) this.selected = index;
    this.reveal(index);
    this.slide(from, to);
  }

  /** @param {Set<number> | null} hits the frames to highlight; null without a search */
  highlight(hits) {
    this.hits = hits;
    this.draw();
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  slide(from, to) {
    cancelAnimationFrame(this.sliding);
    if (still.matches || !this.scroller.isConnected) {
      this.from = from;
      this.to = to;
      this.draw();
      return;
    }
    const [oldFrom, oldTo] = [this.from, this.to];
    let start = 0;
    const step = (/** @type {number} */ now) => {
      start ||= now;
      const part = Math.min(1, (now - start) / 160);
      const eased = 1 - (1 - part) ** 3;
      this.from = oldFrom + (from - oldFrom) * eased;
      this.to = oldTo + (to - oldTo) * eased;
      this.draw();
      if (part < 1) this.sliding = requestAnimationFrame(step);
    };
    this.sliding = requestAnimationFrame(step);
  }

  /**
   * Scroll inside the graph until the row of a frame is visible.
   *
   * @param {number} index
   */
  reveal(index) {
    const top = this.layout.depths[index] * ROW;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = Math.max(0, top - ROW);
    const bottom = top + 2 * ROW - this.scroller.clientHeight;
    if (bottom > this.scroller.scrollTop) this.scroller.scrollTop = bottom;
  }

  /** @param {number} index */
  speak(index) {
    const level = `level ${this.layout.depths[index]}`;
    this.spoken.textContent = [...this.describe(this.layout.frames[index]), level].join(", ");
  }

  resize() {
    const { clientWidth, clientHeight } = this.scroller;
    if (!clientWidth || !clientHeight) return;
    const scale = devicePixelRatio || 1;
    this.width = clientWidth;
    this.canvas.width = Math.round(clientWidth * scale);
    this.canvas.height = Math.round(clientHeight * scale);
    this.canvas.style.setProperty("inline-size", `${clientWidth}px`);
    this.canvas.style.setProperty("block-size", `${clientHeight}px`);
    this.draw();
  }

  draw() {
    if (!this.width) return;
    const { layout, canvas } = this;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const scale = devicePixelRatio || 1;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    const paint = painter(context, this.scroller, ROW, this.measure, this.tone);
    const height = this.scroller.clientHeight;
    const span = this.to - this.from;
    context.clearRect(0, 0, this.width, height);
    this.showCue();
    const top = this.scroller.scrollTop;
    const last = Math.min(layout.rows.length - 1, Math.floor((top + height) / ROW));
    const root = layout.frames[0];
    for (let depth = Math.floor(top / ROW); depth <= last; depth++) {
      const row = layout.rows[depth];
      let drawn = -1; // frames thinner than half a pixel share the one that is drawn
      for (let place = layout.firstEndingAfter(depth, this.from); place < row.length; place++) {
        const index = row[place];
        const left = ((layout.starts[index] - this.from) / span) * this.width;
        if (left >= this.width) break;
        const right = left + (layout.widths[index] / span) * this.width;
        if (right - left < 0.5 && right < drawn + 0.5) continue;
        drawn = right;
        paint(layout.frames[index], {
          left: Math.max(0, left), right: Math.min(this.width, right), top: depth * ROW - top,
          root, isRoot: index === 0,
          above: depth < layout.depths[this.zoomed],
          dimmed: this.hits !== null && !this.hits.has(index),
          hit: this.hits?.has(index) ?? false,
          hovered: index === this.hovered,
          selected: index === this.selected,
          focused: index === this.selected && document.activeElement === this.scroller,
        });
      }
    }
  }

  /** Show how much is further down. Without this, the edge of the box looks like the end. */
  showCue() {
    const hidden = Math.round((this.scroller.scrollHeight - this.scroller.clientHeight - this.scroller.scrollTop) / ROW);
    this.cue.hidden = hidden < 1;
    if (hidden < 1) return;
    const from = this.layout.rows.length - hidden;
    const own = this.layout.frames.some((frame, index) => frame.own && this.layout.depths[index] >= from);
    this.cue.textContent = `↓ ${count(hidden, "more row")}${own ? ", with own code" : ""}`;
  }

  scrollOn() {
    this.scroller.scrollTop += this.scroller.clientHeight - 2 * ROW;
    this.scroller.focus();
  }

  /** @param {MouseEvent} event */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const depth = Math.floor((event.clientY - box.top + this.scroller.scrollTop) / ROW);
    const place = this.from + ((event.clientX - box.left) / this.width) * (this.to - this.from);
    return this.layout.find(depth, place);
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const index = this.at(event);
    if (index !== this.hovered) {
      this.hovered = index;
      this.draw();
      if (index >= 0) fill(this.tip, this.describe(this.layout.frames[index]).map((line) => h("div", {}, line)));
    }
    // A finger would cover the tooltip, and the details below show the same.
    this.tip.hidden = index < 0 || event.pointerType === "touch";
    if (this.tip.hidden) return;
    const box = this.element.getBoundingClientRect();
    const room = box.width - this.tip.offsetWidth;
    this.tip.style.setProperty("left", `${Math.max(0, Math.min(event.clientX - box.left + 12, room))}px`);
    this.tip.style.setProperty("top", `${event.clientY - box.top + 18}px`);
  }

  leave() {
    this.hovered = -1;
    this.tip.hidden = true;
    this.draw();
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const index = this.at(event);
    if (index < 0) return;
    if (index === this.selected && index !== this.zoomed) this.onZoom(index, true);
    else {
      this.select(index);
      this.byPointer = true;
      this.onSelect(index);
      this.byPointer = false;
    }
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) {
      const next = this.layout.step(this.selected, event.key, this.zoomed);
      // Moving up and out of the zoomed part zooms out.
      if (!this.layout.holds(this.zoomed, next) && event.key === "ArrowUp") this.onZoom(next, false);
      this.select(next);
      this.onSelect(next);
    } else if (event.key === "Home") {
      this.select(this.zoomed);
      this.onSelect(this.zoomed);
    } else if (event.key === "Enter" || event.key === " ") this.onZoom(this.selected, true);
    else if (event.key === "Escape") this.onEscape();
    else return;
    event.preventDefault();
  }
}
