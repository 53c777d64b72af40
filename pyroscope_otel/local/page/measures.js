/**
 * What a flame graph's widths can be: the API's `type`, and how its values are written.
 *
 * @typedef {object} Measure
 * @property {string} type
 * @property {string} suffix how its fields in the API's answers end
 * @property {string} group the tab it is under
 * @property {string} width what a frame's width is
 * @property {string} own what a function has of it by itself
 * @property {number} least the smallest difference worth a word
 * @property {(value: number) => string} text
 */

import { bytes, count, cpu } from "./format.js";

/** @type {Measure[]} */
export const MEASURES = [
  { type: "cpu", suffix: "ns", group: "CPU", width: "CPU time", own: "self time", least: 500_000, text: cpu },
  { type: "alloc_space", suffix: "bytes", group: "Memory", width: "bytes allocated", own: "bytes of their own", least: 1024, text: bytes },
  {
    type: "alloc_objects", suffix: "objects", group: "Memory", width: "objects allocated", own: "objects of their own", least: 1,
    text: (value) => count(Math.round(value), "object"),
  },
];

export const CPU = MEASURES[0];

/**
 * @param {string | null} type as it stands in the address
 * @returns {Measure} CPU time where it is none
 */
export function measureOf(type) {
  return MEASURES.find((measure) => measure.type === type) ?? CPU;
}

/**
 * A difference, always with its sign.
 *
 * @param {Measure} measure
 * @param {number} value
 */
export function change(measure, value) {
  const text = measure.text(Math.abs(value));
  if (text === measure.text(0)) return `±${text}`;
  return value > 0 ? `+${text}` : `−${text}`;
}
