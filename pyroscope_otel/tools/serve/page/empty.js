/** Messages about missing data, and what to do about it. */

import { codeBlock, h } from "./dom.js";
import { waysToStart } from "./start.js";

/**
 * A message in place of data.
 *
 * @param {string} title
 * @param {(string | Node)[]} paragraphs
 * @param {{href: string, text: string}} [link]
 */
export function message(title, paragraphs, link) {
  return h("section", { class: "message" },
    h("h1", {}, title),
    paragraphs.map((text) => (text instanceof Node ? text : h("p", {}, text))),
    link && h("p", {}, h("a", { href: link.href }, link.text)));
}

/**
 * @typedef {object} Finding
 * @property {string} id
 * @property {string} title
 * @property {string} text
 * @property {(string | {code: string})[]} steps
 * @property {Node} [more] shown below
 */

/**
 * Why there is no linked profile, judging by the data that has arrived.
 *
 * @param {import("./api.js").Status} status
 * @param {string} origin the server's own address
 * @returns {Finding | null} null: nothing is missing
 */
export function diagnose(status, origin) {
  const traces = status.spans > 0 || status.trace_exports > 0;
  const pushes = status.pushes > 0;
  const otlp = otlpOf(status);
  if (!traces && !pushes && status.requests === 0) {
    return {
      id: "nothing", title: "Waiting for a first request",
      text: "No traces and no profiles have arrived yet. Ways to send the first:", steps: [],
      more: waysToStart(origin, otlp),
    };
  }
  if (!traces && status.requests === 0) {
    return {
      id: "no-traces",
      title: "Profiles arrive, traces do not",
      text: "A request is listed once its span has arrived, and none has.",
      steps: [
        "Install the exporter:",
        { code: "pip install opentelemetry-exporter-otlp-proto-http" },
        "Tell the application where to send traces, before it starts:",
        { code: `OTEL_EXPORTER_OTLP_ENDPOINT=${otlp}` },
        "If the application makes its own tracer provider, add a span exporter to it (OTLP over HTTP; this server does not support gRPC).",
      ],
    };
  }
  if (status.requests === 0) {
    return {
      id: "no-local-roots",
      title: "Spans arrive, but none has a profile id",
      text: "The root span of a request carries the attribute pyroscope.profile.id once the span processor is on the tracer provider.",
      steps: [
        "Add a PyroscopeMiddleware, or add the processor to the provider that the application uses:",
        { code: "provider.add_span_processor(PyroscopeSpanProcessor())" },
        "Unsampled spans get no profile: check OTEL_TRACES_SAMPLER.",
      ],
    };
  }
  if (!pushes) {
    return {
      id: "no-pushes",
      title: "Traces arrive, profiles do not",
      text: "The agent uploads every 10 seconds, so the first profile may still be on its way.",
      steps: [
        "Tell the application where to send profiles, before it starts:",
        { code: `PYROSCOPE_SERVER_ADDRESS=${origin}` },
        "An agent that starts before the server forks its workers does not run in them: start it after the fork, or let the middleware start it.",
        "Still no profiles? Run the doctor:",
        { code: "pyroscope-otel doctor app:app" },
      ],
    };
  }
  if (status.profiles === 0 && status.samples_without_request > 0) {
    return {
      id: "no-labels",
      title: "Profiles arrive without span ids",
      text: "Samples have arrived, but none has the label span_id, so none belongs to a request.",
      steps: [
        "Only code under a local root span is labelled: check that the tracer provider of the process that uses the CPU has the PyroscopeSpanProcessor.",
        "The setting span_labels must contain span_id.",
        "With the setting attribution=\"thread\" the sampler Stack drops labels: use PySpy.",
      ],
    };
  }
  return null;
}

/** The address for traces, with the host name that the reader uses. @param {import("./api.js").Status} status */
function otlpOf(status) {
  return `${location.protocol}//${location.hostname}:${status.otlp_port}`;
}

/**
 * @param {Finding} finding
 * @param {"section" | "aside"} tag
 */
export function showFinding(finding, tag = "section") {
  return h(tag, { class: tag === "aside" ? "notice" : "message", "data-finding": finding.id },
    h("h2", {}, finding.title),
    h("p", {}, finding.text),
    finding.steps.length > 0 && h("ol", {}, group(finding.steps)),
    finding.more);
}

/**
 * A list item for each sentence, with its code.
 *
 * @param {(string | {code: string})[]} steps
 */
function group(steps) {
  /** @type {HTMLElement[]} */
  const items = [];
  for (const step of steps) {
    if (typeof step === "string") items.push(h("li", {}, step));
    else items[items.length - 1].append(codeBlock(step.code));
  }
  return items;
}

/**
 * Why there is no memory profile.
 *
 * @param {boolean} profiled whether the service's memory is profiled
 */
export function withoutMemory(profiled) {
  if (profiled) {
    return h("div", { class: "message small", "data-finding": "no-allocations" },
      h("h3", {}, "No allocation was sampled"),
      h("p", {}, "About one allocation per 512 KiB is sampled, so a request that allocates little may have none. The merged profile of its route shows more."));
  }
  return h("div", { class: "message small", "data-finding": "no-memory" },
    h("h3", {}, "Memory is not profiled"),
    h("p", {}, "Switch it on before the application starts: with the option --memory of pyroscope-otel run, or otherwise in the environment or the settings:"),
    codeBlock("PYROSCOPE_MEM_ENABLED=true"));
}

/**
 * Why a stored request has no sample.
 *
 * @param {import("./api.js").Request} request
 * @param {import("./cpu_time.js").From} from how the CPU time of its service is measured
 * @param {number} now ms since the epoch
 */
export function withoutSamples(request, from, now) {
  const young = now - (request.start_ms + request.duration_ns / 1e6) < 15_000;
  const short = request.duration_ns < 20_000_000;
  return h("div", { class: "message small", "data-finding": "no-samples" },
    h("h3", {}, young ? "No sample yet" : "No sample hit this request"),
    h("ul", {},
      young && h("li", {}, "The agent uploads every 10 seconds, so its samples may still be on their way. They appear here by themselves."),
      short && h("li", {}, "It took less than two sampling periods (10 ms each by default), so it can fall between two samples. The merged flame graph of its route shows more."),
      h("li", {}, "Only CPU time is sampled. A request that waits, for a database or another service, has spans but no samples."),
      from !== "clock" && h("li", {}, "PySpy does not sample native code that has released the GIL (compression, hashing, NumPy, a database driver) unless gil_only is off. The sampler Stack does.")));
}
