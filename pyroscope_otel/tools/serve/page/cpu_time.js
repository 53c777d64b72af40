/** What a request's CPU time is, and what must be said where it does not fit its duration. */

import { h } from "./dom.js";
import { cpu, duration, share } from "./format.js";
import { CPU } from "./measures.js";

/** @typedef {import("./api.js").Request} Request */
/** @typedef {import("./api.js").Span} Span */
/** @typedef {"samples" | "clock" | null} From */

const NOISE = 20_000_000; // two samples

/**
 * What the numbers are called.
 *
 * @param {From} from
 * @returns {{time: string, share: string}}
 */
export function names(from) {
  if (from === "clock") return { time: "CPU time", share: "on CPU" };
  return { time: "CPU sampled", share: "sampled" };
}

/**
 * How the CPU time was taken.
 *
 * @param {From} from
 */
export function method(from) {
  if (from === "clock") {
    return "CPU time is read from the CPU clock of each thread (the agent's sampler Stack): waiting for a CPU is not in it, native code that has released the GIL is.";
  }
  if (from === "samples") {
    return "CPU time is counted in samples (the agent's sampler PySpy), mostly 10 ms each. A thread that waits for a CPU counts as running; native code that has released the GIL is not seen unless gil_only is off.";
  }
  return "";
}

/**
 * What stands below a flame graph: how what it shows was taken.
 *
 * @param {import("./measures.js").Measure} measure
 * @param {From} from
 */
export function about(measure, from) {
  const text = measure === CPU ? method(from)
    : "What was allocated, whether or not it was given back. About one allocation in 512 KiB is sampled, and stands for those that were not.";
  return text && h("p", { class: "about" }, text);
}

/**
 * How the CPU time of a list was taken, in short.
 *
 * @param {From[]} froms of its requests
 */
export function inShort(froms) {
  return [
    froms.includes("clock") && "CPU is read from the CPU clock of each thread (the sampler Stack).",
    froms.includes("samples") && "CPU is counted in samples (the sampler PySpy), a thread that waits for a CPU among them.",
  ].filter(Boolean).join(" ");
}

/**
 * Whether there is more CPU time than the root span took, beyond what sampling blurs.
 *
 * @param {Request} request
 */
export function isOver(request) {
  return (request.cpu_ns ?? 0) > request.duration_ns * 1.05 + NOISE;
}

/**
 * How long the request is known to have lasted, where that is longer than its root span: it
 * is held open for what comes after.
 *
 * @param {Request} request
 * @returns {number | null} nanoseconds, at least
 */
export function lasted(request) {
  if (request.last_seen_ms === null) return null;
  const least = (request.last_seen_ms - request.start_ms) * 1e6;
  return least > request.duration_ns ? least : null;
}

/**
 * What does not fit, and what it can mean.
 *
 * @param {Request} request
 * @param {Span[]} spans of its trace
 * @param {From} from how its service's CPU time is taken
 * @returns {{id: string, title: string, text: string[]} | null}
 */
export function misfit(request, spans, from) {
  const burnt = request.cpu_ns ?? 0;
  if (isOver(request)) {
    const after = lasted(request);
    return {
      id: "over",
      title: `${cpu(burnt)} of CPU time in a root span of ${duration(request.duration_ns)}`,
      text: [
        after
          ? `It went on after its root span had ended: it was at work ${duration(after - request.duration_ns)} later, or longer.`
          : "It may have gone on after its root span had ended: a background task, a streamed answer.",
        "Several threads that work for it at once each have their own time.",
        ...(from === "clock" ? [] : ["PySpy counts a thread that waits for a CPU as running: on a busy machine it shows more than was burnt. The sampler Stack does not (CPython 3.12 and later on Linux)."]),
      ],
    };
  }
  const waited = waiting(request, spans);
  const rest = request.duration_ns - burnt - waited;
  // Where there is no sample at all, the place of the flame graph says why.
  if (request.cpu_ns === null || rest < 2.5 * NOISE || rest < request.duration_ns * 0.3) return null;
  const known = `Of ${duration(request.duration_ns)}, ${cpu(burnt)} ${from === "clock" ? "were spent on a CPU" : "were sampled"}`
    + ` and ${duration(waited)} passed in calls to others that have a span.`;
  if (from === "clock") {
    return { id: "waited", title: `${share(rest, request.duration_ns)} of the time it waited`, text: [known, "The rest it was not on a CPU: it waited for something that has no span, or for its turn on an event loop or a CPU."] };
  }
  return {
    id: "unseen",
    title: `${duration(rest)} of it were neither sampled nor in a call that has a span`,
    text: [known, "The rest may be waiting, for something without a span or for its turn on an event loop, or native code that had released the GIL (compression, hashing, NumPy, a database driver): PySpy does not see that unless gil_only is off. The sampler Stack does."],
  };
}

/**
 * How much of a request passed in calls to others, as its spans tell.
 *
 * @param {Request} request
 * @param {Span[]} spans
 */
function waiting(request, spans) {
  const from = request.start_ms;
  const to = from + request.duration_ns / 1e6;
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
