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
 * @property {(value: number) => string} cell in a table, which says what is measured
 */

import { bytes, cpu, estimate } from "./format.js";

/** @type {Measure[]} */
export const MEASURES = [
  { type: "cpu", suffix: "ns", group: "CPU", width: "CPU time", own: "self time", least: 500_000, text: cpu, cell: cpu },
  { type: "alloc_space", suffix: "bytes", group: "Memory", width: "bytes allocated", own: "bytes of their own", least: 1024, text: bytes, cell: bytes },
  {
    type: "alloc_objects", suffix: "objects", group: "Memory", width: "objects allocated", own: "objects of their own", least: 1,
    text: (value) => `${estimate(value)} ${Math.round(value) === 1 ? "object" : "objects"}`, cell: estimate,
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
 * @param {(value: number) => string} [write] how it is written
 */
export function change(measure, value, write = measure.text) {
  const text = write(Math.abs(value));
  if (text === write(0)) return `±${text}`;
  return value > 0 ? `+${text}` : `−${text}`;
}
