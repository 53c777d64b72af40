/** The details of the selected frame: its place, times, source, and actions. */

import { copyButton, fill, h } from "./dom.js";
import { more } from "./flame_tree.js";
import { place, share, shortFile } from "./format.js";
import { change } from "./measures.js";

/** @typedef {import("./flame_tree.js").Frame} Frame */
/** @typedef {import("./measures.js").Measure} Measure */

/**
 * @typedef {object} Scale
 * @property {Frame} whole
 * @property {Measure} measure
 * @property {[string, string]} sides
 */

/**
 * Describe a frame in a few lines, for the tooltip and the screen reader.
 *
 * @param {Frame} frame
 * @param {Scale} scale
 */
export function describe(frame, { whole, measure, sides }) {
  const { text } = measure;
  const lines = [frame.name || "(unknown)"];
  if (frame.fold?.packages.length) lines.push(`${frame.fold.count} functions of libraries, folded`);
  else if (frame.fold) lines.push(`calls itself: ${frame.fold.count} levels, folded`);
  else if (frame.file) lines.push(place({ ...frame, file: shortFile(frame.file) }));
  if (frame.left && frame.right) {
    lines.push(`${text(frame.left.total)} ${sides[0]}, ${text(frame.right.total)} ${sides[1]}: ${change(measure, more(frame))}`);
  } else {
    lines.push(`${text(frame.total)}, ${share(frame.total, whole.total)}`);
    if (frame.self > 0 && frame.children.length) lines.push(`${text(frame.self)} self`);
  }
  if (frame.file && !frame.fold?.packages.length) lines.push(frame.own ? "own code" : "library");
  return lines;
}

/** The hint that is shown while no frame is selected. */
export function hint() {
  return h("p", { class: "hint" },
    h("span", { class: "pointer-hint" }, "Select a frame for its file and line; select it again to zoom. A fold (⋯) opens at once. "),
    h("span", { class: "key-hint" }, h("kbd", {}, "/"), " search ",
      h("span", { class: "in-graph" }, h("kbd", {}, "←↑↓→"), " move ", h("kbd", {}, "Enter"), " zoom ", h("kbd", {}, "Esc"), " back"),
      h("span", { class: "to-graph" }, h("kbd", {}, "Tab"), " to the graph, for its keys")));
}

/**
 * @param {Element} element to fill
 * @param {Frame} frame
 * @param {Frame[]} stack from the root to the frame
 * @param {Scale} scale
 * @param {any[]} actions
 */
export function showFrame(element, frame, stack, scale, actions) {
  const { whole, measure, sides } = scale;
  const { text } = measure;
  const times = frame.left && frame.right
    ? [[sides[0], text(frame.left.total)], [sides[1], text(frame.right.total)], ["change", change(measure, more(frame))]]
    : [["total", `${text(frame.total)}, ${share(frame.total, whole.total)}`], ["self", `${text(frame.self)}, ${share(frame.self, whole.total)}`]];
  fill(element,
    h("h3", {}, h("code", {}, frame.name || "(unknown)"), " ", kind(frame)),
    frame.file && h("p", { class: "place" }, h("code", {}, frame.fold ? frame.file : place(frame))),
    h("p", { class: "copies" },
      !frame.fold && copyButton(frame.name, "name", "Copy name"),
      !frame.fold && frame.file && copyButton(place(frame), "file and line", "Copy file and line"),
      copyButton(stack.map((each) => (each.file && !each.fold ? `${each.name} (${place(each)})` : each.name)).join("\n"), "stack", "Copy stack"),
      copyButton(() => location.href, "link", "Copy link")),
    h("dl", { class: "facts" }, times.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("p", { class: "frame-actions" }, actions));
}

/** @param {Frame} frame */
function kind(frame) {
  if (frame.fold) return h("span", { class: "tag" }, frame.fold.packages.length ? "folded" : "calls itself");
  return h("span", { class: frame.own ? "tag own" : "tag" }, frame.own ? "own code" : "library");
}
