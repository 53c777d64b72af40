/**
 * Assigns tones to own files and to libraries, in order of their time. Tones repeat, but the files
 * and libraries that take most of the width all differ.
 */

import { h } from "./dom.js";
import { packageOf } from "./flame_tree.js";
import { shortFile } from "./format.js";

/** @typedef {import("./flame_tree.js").Frame} Frame */

export const OWN_TONES = 6;
export const LIBRARY_TONES = 6;
const NAMED = 6; // files named in the legend

/**
 * @typedef {object} Tones
 * @property {(frame: Frame) => number} of from 0
 * @property {string[]} own files in the order of their tones
 */

/**
 * @param {Frame} tree
 * @returns {Tones}
 */
export function tones(tree) {
  /** @type {Map<string, number>} */
  const own = new Map();
  /** @type {Map<string, number>} */
  const libraries = new Map();
  /** @param {Frame} frame @param {Frame | null} parent */
  const visit = (frame, parent) => {
    const [sums, key] = frame.own ? [own, frame.file] : [libraries, packageOf(frame.file)];
    const inside = parent && parent.own === frame.own && (frame.own ? parent.file : packageOf(parent.file)) === key;
    if (!inside) sums.set(key, (sums.get(key) ?? 0) + frame.total);
    for (const child of frame.children) visit(child, frame);
  };
  for (const child of tree.children) visit(child, null);
  const [ownTones, libraryTones] = [ranked(own), ranked(libraries)];
  return {
    of: (frame) => (frame.own
      ? (ownTones.get(frame.file) ?? 0) % OWN_TONES
      : (libraryTones.get(frame.fold?.packages[0] ?? packageOf(frame.file)) ?? 0) % LIBRARY_TONES),
    own: [...ownTones.keys()],
  };
}

/** @param {Map<string, number>} sums @returns {Map<string, number>} */
function ranked(sums) {
  const names = [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return new Map(names.map(([name], rank) => [name, rank]));
}

/**
 * @param {Tones} tone
 * @param {import("./measures.js").Measure} measure
 * @param {[string, string]} [sides] of a difference
 */
export function legend(tone, measure, sides) {
  if (sides) {
    return h("p", { class: "legend" },
      h("span", {}, h("i", { class: "swatch more" }), `more in ${sides[0]} (+)`),
      h("span", {}, h("i", { class: "swatch less" }), `less in ${sides[0]} (−)`),
      h("span", {}, h("i", { class: "swatch same" }), "the same"),
      h("span", {}, h("i", { class: "swatch own-edge" }), h("b", {}, "own code")),
      h("span", {}, `width: ${measure.width}, both together`));
  }
  const others = tone.own.length - NAMED;
  return h("p", { class: "legend" },
    h("span", {}, h("b", {}, "own code:")),
    tone.own.slice(0, NAMED).map((file, at) => h("span", { class: "breakable" }, h("i", { class: `swatch own tone-${at % OWN_TONES}` }), shortFile(file))),
    others > 0 && h("span", {}, `and ${others} more`),
    h("span", {}, h("i", { class: "swatch library" }), "libraries, a tone each"),
    h("span", {}, `width: ${measure.width}`));
}
