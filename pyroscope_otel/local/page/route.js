/** A route: the merged flame graph of its requests, and the requests. */

import { ask, askSource } from "./api.js";
import { address } from "./address.js";
import { fill, h } from "./dom.js";
import { fromProfile } from "./flame_tree.js";
import { withoutMemory } from "./empty.js";
import { cpu } from "./format.js";
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
  const panel = new ProfilePanel({
    title: "Merged flame graph", name: route, around, tree: fromProfile,
    source: (frame, measure) => askSource(frame, measure, { service, route }, signal),
    ask: (measure) => ask("flamegraph", { service, route, type: measure.type }, signal),
    missing: (measure) => (measure === CPU ? noSample() : withoutMemory(false)),
  });
  const [profile, { requests }] = await Promise.all([
    ask("flamegraph", { service, route }, signal),
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
        [["requests", profile.requests.toLocaleString("en")], ["CPU time", cpu(profile.total_ns)],
          ["a request", profile.requests ? cpu(profile.total_ns / profile.requests) : "–"]]
          .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))),
    panel.element,
    h("section", { class: "panel" },
      h("h2", {}, "Requests ", h("a", { class: "quiet", href: address("/", { service, route }) }, "all, with filters")),
      h("div", { class: "scroll" }, table.element)));
  return { title: route, update: (next) => panel.apply(next.params) };
}

function noSample() {
  return h("div", { class: "message small", "data-finding": "no-samples" },
    h("h3", {}, "No sample hit this route"),
    h("p", {}, "Its requests are too short, wait rather than burn CPU time, or their profiles have not been uploaded yet (every 10 seconds)."));
}
