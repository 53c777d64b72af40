/**
 * The measures that a flame graph can show: the API's `type`, and the format of the values.
 *
 * @typedef {object} Measure
 * @property {string} type
 * @property {string} suffix the suffix of its fields in the API
 * @property {string} group its tab
 * @property {string} width what the width of a frame means
 * @property {string} own what a function's own value is called
 * @property {number} least the smallest difference worth showing
 * @property {(value: number) => string} text
 * @property {(value: number) => string} cell in a table, where the header names the unit
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
 * @param {string | null} type from the address
 * @returns {Measure} CPU time if the type is unknown
 */
export function measureOf(type) {
  return MEASURES.find((measure) => measure.type === type) ?? CPU;
}

/**
 * A difference, always with its sign.
 *
 * @param {Measure} measure
 * @param {number} value
 * @param {(value: number) => string} [write] the format
 */
export function change(measure, value, write = measure.text) {
  const text = write(Math.abs(value));
  if (text === write(0)) return `±${text}`;
  return value > 0 ? `+${text}` : `−${text}`;
}
