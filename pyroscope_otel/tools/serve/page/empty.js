/** What is missing, and what to do about it. */

import { codeBlock, h } from "./dom.js";
import { waysToStart } from "./start.js";

/**
 * A page's or a part's words in place of data.
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
 * @property {Node} [more] what is shown below
 */

/**
 * Why there is no linked profile to see, judged by what has arrived so far.
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
      text: "A request is listed when its span has arrived, and none has.",
      steps: [
        "Install the exporter:",
        { code: "pip install opentelemetry-exporter-otlp-proto-http" },
        "Tell the application where to send traces, before it starts:",
        { code: `OTEL_EXPORTER_OTLP_ENDPOINT=${otlp}` },
        "If the application makes its own tracer provider, add a span exporter to it (OTLP over HTTP; gRPC is not understood here).",
      ],
    };
  }
  if (status.requests === 0) {
    return {
      id: "no-local-roots",
      title: "Spans arrive, but none has a profile id",
      text: "The root span of a request carries the attribute pyroscope.profile.id once the span processor is on the tracer provider.",
      steps: [
        "Add a PyroscopeMiddleware, or add the processor to the provider that the application really uses:",
        { code: "provider.add_span_processor(PyroscopeSpanProcessor())" },
        "Unsampled spans get no profile: look at OTEL_TRACES_SAMPLER.",
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
        "An agent that is started before the server forks its workers is dead in each of them: start it after the fork, or leave that to the middleware.",
        "Not clear? Let the doctor look at it:",
        { code: "pyroscope-otel doctor app:app" },
      ],
    };
  }
  if (status.profiles === 0 && status.samples_without_request > 0) {
    return {
      id: "no-labels",
      title: "Profiles arrive without span ids",
      text: "Samples were received, but none of them carries the label span_id, so none belongs to a request.",
      steps: [
        "Only code under a local root span is labelled: see that PyroscopeSpanProcessor is on the tracer provider of the process that burns the CPU.",
        "The setting span_labels must contain span_id.",
        "With the setting attribution=\"thread\" the sampler Stack drops labels: use PySpy.",
      ],
    };
  }
  return null;
}

/** Where traces are sent to: the host is how the reader reaches it. @param {import("./api.js").Status} status */
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
 * A list item for each sentence, with the code that goes with it.
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
 * Why there is no memory to see.
 *
 * @param {boolean} profiled whether the service's memory is
 */
export function withoutMemory(profiled) {
  if (profiled) {
    return h("div", { class: "message small", "data-finding": "no-allocations" },
      h("h3", {}, "No allocation was sampled"),
      h("p", {}, "About one allocation in 512 KiB is sampled, so what allocates little has none. Its route has more to show."));
  }
  return h("div", { class: "message small", "data-finding": "no-memory" },
    h("h3", {}, "Memory is not profiled"),
    h("p", {}, "Switch it on before the application starts: below pyroscope-otel run with its option --memory, elsewhere in the environment or the settings:"),
    codeBlock("PYROSCOPE_MEM_ENABLED=true"));
}

/**
 * Why a stored request has no sample.
 *
 * @param {import("./api.js").Request} request
 * @param {import("./cpu_time.js").From} from how its service's CPU time is taken
 * @param {number} now ms since the epoch
 */
export function withoutSamples(request, from, now) {
  const young = now - (request.start_ms + request.duration_ns / 1e6) < 15_000;
  const short = request.duration_ns < 20_000_000;
  return h("div", { class: "message small", "data-finding": "no-samples" },
    h("h3", {}, young ? "No sample yet" : "No sample hit this request"),
    h("ul", {},
      young && h("li", {}, "The agent uploads every 10 seconds: its samples may still be on their way. They appear here by themselves."),
      short && h("li", {}, "It took less than two sampling periods (10 ms each by default), so it can fall between two samples. The merged flame graph of its route has more to show."),
      h("li", {}, "Only burnt CPU time is sampled. A request that waits, for a database or another service, has spans and no samples."),
      from !== "clock" && h("li", {}, "Native code that has released the GIL (compression, hashing, NumPy, a database driver) is not seen by PySpy unless gil_only is off. The sampler Stack sees it.")));
}
