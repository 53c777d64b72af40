/** The page of a route: the merged flame graph of its requests, and the requests. */

import { ask, askSource } from "./api.js";
import { address, differenceAddress, requestAddress } from "./address.js";
import { about } from "./cpu_time.js";
import { fill, h } from "./dom.js";
import { fromProfile } from "./flame_tree.js";
import { withoutMemory } from "./empty.js";
import { count, duration } from "./format.js";
import { CPU } from "./measures.js";
import { ProfilePanel } from "./profile_panel.js";
import { RequestTable } from "./request_table.js";

/**
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 * @returns {Promise<import("./main.js").Page>}
 */
export async function openRoute(place, around) {
  const service = place.params.get("service") ?? "";
  const route = place.params.get("route") ?? "";
  const { signal } = around;
  const spread = await ask("durations", { service, route }, signal);
  const panel = new ProfilePanel({
    title: "Merged flame graph", name: route, around, tree: fromProfile,
    source: (frame, measure) => askSource(frame, measure, { service, route }, signal),
    ask: (measure) => ask("flamegraph", { service, route, type: measure.type }, signal),
    missing: (measure) => (measure === CPU ? noSample() : withoutMemory(spread.profiler.memory)),
    below: (measure) => about(measure, spread.profiler.cpu_from),
  });
  const [{ requests }] = await Promise.all([
    ask("requests", { service, route, limit: 20 }, signal),
    panel.load(place.params),
  ]);
  const table = new RequestTable({ label: `Requests of ${route}` });
  table.replace(requests);
  fill(around.main,
    h("header", { class: "head" },
      h("div", { class: "what" },
        h("h1", { class: "breakable" }, route),
        h("p", { class: "lead" }, h("span", { class: "service" }, service), h("span", { class: "dot" }, "·"), "all stored requests of this route")),
      h("dl", { class: "numbers" },
        [["requests", spread.requests.toLocaleString("en")], ["p50", duration(spread.p50_duration_ns)],
          ["p95", duration(spread.p95_duration_ns)], ["slowest", duration(spread.max_duration_ns)]]
          .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("nav", { class: "actions", "aria-label": "This route" },
        spread.requests > 1 && h("a", { class: "button", href: differenceAddress(spread.slowest, "route") }, "Explain the slowest"),
        h("a", { class: "button", href: requestAddress(spread.slowest) }, "The slowest"))),
    h("section", { class: "panel", "aria-labelledby": "spread-title" },
      h("h2", { id: "spread-title" }, "Durations ", h("span", { class: "quiet" }, "a bar leads to its requests")),
      histogram(spread.bars, service, route)),
    panel.element,
    h("section", { class: "panel" },
      h("h2", {}, "Requests ", h("a", { class: "quiet", href: address("/", { service, route }) }, "all, with filters")),
      h("div", { class: "scroll" }, table.element)));
  return { title: route, update: (next) => panel.apply(next.params) };
}

/**
 * A histogram of durations. The bounds of the bars are a geometric series.
 *
 * @param {{from_ns: number, to_ns: number, requests: number, errors: number}[]} bars
 * @param {string} service
 * @param {string} route
 */
function histogram(bars, service, route) {
  const most = Math.max(1, ...bars.map((bar) => bar.requests));
  // A few bars would be too wide.
  return h("div", { class: "histogram", style: { "max-inline-size": `${120 * bars.length}px` } },
    h("ol", {}, bars.map((bar) => {
      const range = `${duration(bar.from_ns)} to ${duration(bar.to_ns)}`;
      const text = `${range}: ${count(bar.requests, "request")}${bar.errors ? `, ${count(bar.errors, "error")}` : ""}`;
      const column = [
        h("span", { class: "amount" }, bar.requests || ""),
        h("span", { class: "column", style: { "block-size": bar.requests ? `max(3px, ${(100 * bar.requests) / most}%)` : "0" } },
          bar.errors > 0 && h("span", { class: "errors", style: { "block-size": `max(3px, ${(100 * bar.errors) / bar.requests}%)` } })),
      ];
      const href = address("/", { service, route, min_ms: String(bar.from_ns / 1e6), max_ms: String(bar.to_ns / 1e6) });
      return h("li", {}, bar.requests ? h("a", { href, title: text, "aria-label": text }, column) : h("span", {}, column));
    })),
    h("p", { class: "scale-of-bars", "aria-hidden": "true" },
      bars.length === 1 ? h("span", {}, `less than ${duration(bars[0].to_ns)}`)
        : marks(bars.length).map((at) => h("span", {}, duration(bars[at].to_ns)))));
}

/**
 * The bars with a label for their upper bound: the first, the last, and some between.
 *
 * @param {number} bars the number of bars
 */
function marks(bars) {
  return [...new Set([0, 1 / 3, 2 / 3, 1].map((part) => Math.round(part * (bars - 1))))];
}

function noSample() {
  return h("div", { class: "message small", "data-finding": "no-samples" },
    h("h3", {}, "No sample hit this route"),
    h("p", {}, "Its requests are too short, they wait rather than use the CPU, or their profiles have not been uploaded yet (every 10 seconds)."));
}
