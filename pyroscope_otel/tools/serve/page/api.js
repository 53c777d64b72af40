/** Queries the server's JSON API. */

/**
 * @typedef {object} Request one local root span; times: start_ms since the epoch, *_ns durations
 * @property {string} profile_id
 * @property {string} trace_id
 * @property {string} span_id
 * @property {string} service
 * @property {string} route
 * @property {string} kind
 * @property {number} start_ms
 * @property {number} duration_ns
 * @property {number | null} held_ns from its start until it was let go, if that is known and
 *   later than its root span's end
 * @property {number | null} cpu_ns null without samples
 * @property {number} samples
 * @property {"samples" | "clock" | null} cpu_from samples: the number of samples times the
 *   period (PySpy); clock: read from the thread's CPU clock (Stack)
 * @property {number | null} last_seen_ms the start of its last upload window with CPU samples
 * @property {number | null} alloc_bytes null without samples
 * @property {number | null} alloc_objects
 * @property {"ok" | "error"} status
 * @property {number | null} http_status
 * @property {string | null} target path and query of the URL
 */

/**
 * @typedef {object} Span
 * @property {string} span_id
 * @property {string | null} parent_span_id
 * @property {string} name
 * @property {string} kind
 * @property {string} service
 * @property {number} start_ms
 * @property {number} duration_ns
 * @property {string} status
 * @property {string} status_message
 * @property {Record<string, any>} attributes
 * @property {string | null} profile_id
 * @property {{name: string, offset_ns: number, attributes: Record<string, any>}[]} events
 */

/**
 * @typedef {object} Status
 * @property {string} version
 * @property {number} otlp_port the port for traces
 * @property {number} spans
 * @property {number} requests
 * @property {number} profiles
 * @property {number} samples_without_request
 * @property {number} pushes
 * @property {number} trace_exports
 * @property {number | null} last_push_ms
 * @property {number | null} last_trace_ms
 * @property {string[]} services
 * @property {number | null} oldest_ms
 * @property {number} stored_bytes
 * @property {{keep_seconds: number, max_bytes: number}} bound
 */

/** A response other than 200, with the server's reason. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** No response: the server does not run, or stopped while answering. */
export class Unreachable extends Error {}

/**
 * Ask the server.
 *
 * @param {string} path below /api/
 * @param {Record<string, string | number | null | undefined>} [params] empty ones are omitted
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 * @throws {Refused} when the server refuses
 * @throws {Unreachable} when there is no server
 */
export async function ask(path, params = {}, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  let answer;
  let body;
  try {
    answer = await fetch(`/api/${path}${text ? `?${text}` : ""}`, { signal });
    body = await answer.text();
  } catch (error) {
    throw signal?.aborted ? error : new Unreachable(String(error));
  }
  if (answer.ok) return JSON.parse(body);
  let words = `The server answered ${answer.status}.`;
  try {
    const { error } = JSON.parse(body);
    if (typeof error === "string") words = error;
  } catch {
    // Not JSON: keep the status as the message.
  }
  throw new Refused(answer.status, words);
}

/**
 * Ask for the source lines of a function in a profile or a route.
 *
 * @param {import("./flame_tree.js").Frame} frame
 * @param {import("./measures.js").Measure} measure
 * @param {Record<string, string>} of
 * @param {AbortSignal} signal
 */
export function askSource(frame, measure, of, signal) {
  return ask("source", { function: frame.name, file: frame.file, type: measure.type, ...of }, signal);
}

/**
 * Listen for changes while the page is open. The browser reconnects by itself, and a
 * reconnection counts as a change.
 *
 * @param {() => void} changed
 * @param {(up: boolean) => void} connected
 */
export function listen(changed, connected) {
  const source = new EventSource("/api/events");
  source.addEventListener("change", changed);
  source.addEventListener("open", () => {
    connected(true);
    changed();
  });
  source.addEventListener("error", () => {
    connected(false);
    // The browser does not retry after a refusal, but a restarted server must be found again.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(changed, connected), 3000);
  });
}
