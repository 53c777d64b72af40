/** A route: the merged flame graph of its requests, and the requests. */

import { ask } from "./api.js";
import { address } from "./address.js";
import { fill, h } from "./dom.js";
import { fromProfile } from "./flame_tree.js";
import { count, cpu } from "./format.js";
import { ProfileView } from "./profile_view.js";
import { RequestTable } from "./request_table.js";

/**
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 * @returns {Promise<import("./main.js").Page>}
 */
export async function openRoute(place, around) {
  const service = place.params.get("service") ?? "";
  const route = place.params.get("route") ?? "";
  const [profile, { requests }] = await Promise.all([
    ask("flamegraph", { service, route }, around.signal),
    ask("requests", { service, route, limit: 20 }, around.signal),
  ]);
  const table = new RequestTable({ label: `Requests of ${route}` });
  table.replace(requests);
  const view = profile.total_ns > 0 && new ProfileView({
    root: fromProfile(profile.root), name: route, setView: around.setView, signal: around.signal,
  });
  fill(around.main,
    h("header", { class: "head" },
      h("div", { class: "what" },
        h("h1", { class: "breakable" }, route),
        h("p", { class: "lead" }, h("span", { class: "service" }, service), h("span", { class: "dot" }, "·"), "all stored requests of this route")),
      h("dl", { class: "numbers" },
        [["requests", profile.requests.toLocaleString("en")], ["CPU sampled", cpu(profile.total_ns)],
          ["a request", profile.requests ? cpu(profile.total_ns / profile.requests) : "–"]]
          .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))),
    h("section", { class: "panel", "aria-labelledby": "profile-title" },
      h("h2", { id: "profile-title" }, "Merged flame graph ", h("span", { class: "quiet" }, count(profile.samples, "sample"))),
      view ? view.element : h("div", { class: "message small", "data-finding": "no-samples" },
        h("h3", {}, "No sample hit this route"),
        h("p", {}, "Its requests are too short, wait rather than burn CPU time, or their profiles have not been uploaded yet (every 10 seconds)."))),
    h("section", { class: "panel" },
      h("h2", {}, "Requests ", h("a", { class: "quiet", href: address("/", { service, route }) }, "all, with filters")),
      h("div", { class: "scroll" }, table.element)));
  if (view) view.apply(place.params);
  return { title: route, update: (next) => { if (view) view.apply(next.params); } };
}
