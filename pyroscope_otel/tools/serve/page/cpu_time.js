/** Explains a request's CPU time, and why it may not fit the duration. */

import { h } from "./dom.js";
import { cpu, duration, share } from "./format.js";
import { CPU } from "./measures.js";

/** @typedef {import("./api.js").Request} Request */
/** @typedef {import("./api.js").Span} Span */
/** @typedef {"samples" | "clock" | null} From */

const NOISE = 20_000_000; // two samples

/**
 * The names of the numbers.
 *
 * @param {From} from
 * @returns {{time: string, share: string}}
 */
export function names(from) {
  if (from === "clock") return { time: "CPU time", share: "on CPU" };
  return { time: "CPU sampled", share: "sampled" };
}

/**
 * How the CPU time was measured.
 *
 * @param {From} from
 */
export function method(from) {
  if (from === "clock") {
    return "CPU time is read from the CPU clock of each thread (the agent's sampler Stack). It excludes waiting for a CPU, and includes native code that has released the GIL.";
  }
  if (from === "samples") {
    return "CPU time is counted in samples (the agent's sampler PySpy), usually of 10 ms each. A thread that waits for a CPU counts as running. Native code that has released the GIL is not sampled unless gil_only is off.";
  }
  return "";
}

/**
 * The note below a flame graph: how its values were measured.
 *
 * @param {import("./measures.js").Measure} measure
 * @param {From} from
 */
export function about(measure, from) {
  const text = measure === CPU ? method(from)
    : "Allocated memory, whether or not it was freed. About one allocation per 512 KiB is sampled, and represents those that were not.";
  return text && h("p", { class: "about" }, text);
}

/**
 * How the CPU time of a list was measured, in short.
 *
 * @param {From[]} froms of its requests
 */
export function inShort(froms) {
  return [
    froms.includes("clock") && "CPU is read from the CPU clock of each thread (the sampler Stack).",
    froms.includes("samples") && "CPU is counted in samples (the sampler PySpy), including threads that wait for a CPU.",
  ].filter(Boolean).join(" ");
}

/**
 * Whether the CPU time exceeds the duration by more than the sampling error.
 *
 * @param {Request} request
 */
export function isOver(request) {
  return (request.cpu_ns ?? 0) > whole(request) * 1.05 + NOISE;
}

/**
 * How long the request took, including what went on after its root span, as far as is known.
 *
 * @param {Request} request
 */
export function whole(request) {
  return request.held_ns ?? request.duration_ns;
}

/**
 * How long the request is known to have run, if that is longer than its root span and if it is
 * not known when it was let go.
 *
 * @param {Request} request
 * @returns {number | null} a lower bound in nanoseconds
 */
export function ranAtLeast(request) {
  if (request.last_seen_ms === null || request.held_ns !== null) return null;
  const least = (request.last_seen_ms - request.start_ms) * 1e6;
  return least > request.duration_ns ? least : null;
}

/**
 * A mismatch between CPU time and duration, and what it can mean.
 *
 * @param {Request} request
 * @param {Span[]} spans of its trace
 * @param {From} from how the CPU time of its service is measured
 * @returns {{id: string, title: string, text: string[]} | null}
 */
export function misfit(request, spans, from) {
  const burnt = request.cpu_ns ?? 0;
  if (isOver(request)) {
    const least = ranAtLeast(request);
    const after = least
      ? `It kept running after its root span had ended, for at least ${duration(least - request.duration_ns)}.`
      : "It may have kept running after its root span had ended, in a background task or a streamed response.";
    return {
      id: "over",
      title: request.held_ns === null
        ? `${cpu(burnt)} of CPU time in a root span of ${duration(request.duration_ns)}`
        : `${cpu(burnt)} of CPU time in the ${duration(request.held_ns)} for which it was held`,
      text: [
        ...(request.held_ns === null ? [after] : []),
        "If several threads work for it at once, the time of each counts.",
        ...(from === "clock" ? [] : ["PySpy counts a thread that waits for a CPU as running, so on a busy machine it shows more than was used. The sampler Stack does not (CPython 3.12 and later on Linux)."]),
      ],
    };
  }
  const took = whole(request);
  const waited = waiting(request, spans);
  const rest = took - burnt - waited;
  // Without any sample, the message in place of the flame graph gives the reason.
  if (request.cpu_ns === null || rest < 2.5 * NOISE || rest < took * 0.3) return null;
  const known = `Of ${duration(took)}, ${cpu(burnt)} ${from === "clock" ? "were spent on a CPU" : "were sampled"}`
    + ` and ${duration(waited)} passed in outgoing calls with a span.`;
  if (from === "clock") {
    return { id: "waited", title: `${share(rest, took)} of the time it waited`, text: [known, "For the rest it was not on a CPU: it waited for something without a span, or for its turn on an event loop or a CPU."] };
  }
  return {
    id: "unseen",
    title: `${duration(rest)} of it were neither sampled nor in a call with a span`,
    text: [known, "For the rest it may have waited, for something without a span or for its turn on an event loop, or run native code that had released the GIL (compression, hashing, NumPy, a database driver). PySpy does not sample such code unless gil_only is off; the sampler Stack does."],
  };
}

/**
 * How much of a request passed in outgoing calls, according to its spans.
 *
 * @param {Request} request
 * @param {Span[]} spans
 */
function waiting(request, spans) {
  const from = request.start_ms;
  const to = from + whole(request) / 1e6;
  const calls = spans
    .filter((span) => ["client", "producer"].includes(span.kind) && span.service === request.service)
    .map((span) => [Math.max(from, span.start_ms), Math.min(to, span.start_ms + span.duration_ns / 1e6)])
    .sort((a, b) => a[0] - b[0]);
  let covered = 0;
  let end = from;
  for (const [start, stop] of calls) {
    covered += Math.max(0, stop - Math.max(start, end));
    end = Math.max(end, stop);
  }
  return covered * 1e6;
}
