/** Formats numbers and names for people. */

/**
 * A duration with three significant digits: "870 µs", "12.3 ms", "1.24 s".
 *
 * @param {number} ns
 */
export function duration(ns) {
  const size = Math.abs(ns);
  if (size === 0) return "0 ms";
  if (size < 999_500) return `${digits(ns / 1e3)} µs`;
  if (size < 999_500_000) return `${digits(ns / 1e6)} ms`;
  return `${digits(ns / 1e9)} s`;
}

/** @param {number} value */
function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

/**
 * CPU time, without decimals, as it often consists of whole samples of 10 ms.
 *
 * @param {number} ns
 */
export function cpu(ns) {
  return Math.abs(ns) < 999_500_000 ? `${Math.round(ns / 1e6)} ms` : `${(ns / 1e9).toFixed(2)} s`;
}

/**
 * @param {number} part
 * @param {number} whole
 */
export function share(part, whole) {
  if (!(whole > 0)) return "0 %";
  const percent = (100 * part) / whole;
  return percent > 0 && percent < 1 ? "<1 %" : `${Math.round(percent)} %`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/**
 * The time of day, with the date if that is not today.
 *
 * @param {number} ms since the epoch
 */
export function time(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "?";
  const text = `${clock.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return date.toDateString() === new Date().toDateString() ? text : `${day.format(date)}, ${text}`;
}

/** @param {number} ms since the epoch */
export function isoTime(ms) {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/**
 * A number that is estimated from a few samples: large ones have three significant digits.
 *
 * @param {number} number
 */
export function estimate(number) {
  const size = Math.abs(number);
  if (size < 99_950) return Math.round(number).toLocaleString("en");
  return size < 999_500 ? `${digits(number / 1e3)} k` : size < 999_500_000 ? `${digits(number / 1e6)} M` : `${digits(number / 1e9)} G`;
}

/** @param {number} number */
export function bytes(number) {
  if (number < 1024) return `${Math.round(number)} B`;
  if (number < 1024 ** 2) return `${Math.round(number / 1024)} KiB`;
  if (number < 1024 ** 3) return `${(number / 1024 ** 2).toFixed(number < 10 * 1024 ** 2 ? 1 : 0)} MiB`;
  return `${(number / 1024 ** 3).toFixed(1)} GiB`;
}

/**
 * The size of the stored data, in the units of the option --max-size.
 *
 * @param {number} number of bytes
 */
export function stored(number) {
  if (number < 1e6) return `${Math.round(number / 1e3)} KB`;
  if (number < 1e9) return `${(number / 1e6).toFixed(number < 1e7 && number % 1e6 ? 1 : 0)} MB`;
  return `${(number / 1e9).toFixed(number % 1e9 ? 1 : 0)} GB`;
}

/**
 * The server's error message as a sentence.
 *
 * @param {string} text
 */
export function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** @param {number} seconds */
export function period(seconds) {
  if (seconds % 86_400 === 0) return count(seconds / 86_400, "day");
  if (seconds % 3600 === 0) return count(seconds / 3600, "hour");
  if (seconds % 60 === 0) return count(seconds / 60, "minute");
  return count(seconds, "second");
}

/**
 * The distinctive part of a file name, without the directories that installed packages share.
 *
 * @param {string} file
 */
export function shortFile(file) {
  const installed = /^.*[/\\](?:site|dist)-packages[/\\]/.exec(file);
  if (installed) return file.slice(installed[0].length);
  const standard = /^.*[/\\]lib[/\\]python\d[\d.]*[/\\]/.exec(file);
  if (standard) return file.slice(standard[0].length);
  const parts = file.split("/");
  return parts.length > 4 ? `…/${parts.slice(-3).join("/")}` : file;
}

/**
 * "file:line", or only the file if the line is unknown.
 *
 * @param {{file: string, line: number}} frame
 */
export function place(frame) {
  return frame.line > 0 ? `${frame.file}:${frame.line}` : frame.file;
}
