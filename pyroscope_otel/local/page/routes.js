/** All routes: where the CPU time of a service goes, before one looks at a request. */

import { ask } from "./api.js";
import { address, routeAddress } from "./address.js";
import { fill, h } from "./dom.js";
import { diagnose, message, showFinding } from "./empty.js";
import { cpu, duration, share } from "./format.js";

/**
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 * @returns {Promise<import("./main.js").Page>}
 */
export async function openRoutes(place, around) {
  const [{ routes }, status] = await Promise.all([
    ask("routes", { service: place.params.get("service") }, around.signal),
    ask("status", {}, around.signal),
  ]);
  const finding = diagnose(status, location.origin);
  const most = Math.max(1, ...routes.map((/** @type {any} */ route) => route.cpu_ns));
  const total = routes.reduce((/** @type {number} */ sum, /** @type {any} */ route) => sum + route.cpu_ns, 0);
  routes.sort((/** @type {any} */ a, /** @type {any} */ b) => b.cpu_ns - a.cpu_ns || b.requests - a.requests);
  fill(around.main,
    h("h1", {}, "Routes"),
    routes.length === 0 && (finding ? showFinding(finding) : message("No route", ["No request is stored."])),
    routes.length > 0 && h("p", { class: "lead" }, "By CPU time sampled in all stored requests. A route opens its merged flame graph."),
    routes.length > 0 && h("div", { class: "scroll" },
      h("table", { class: "routes", role: "table", "aria-label": "Routes" },
        h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
          [["Service", ""], ["Route", ""], ["Requests", "number"], ["Mean duration", "number"], ["Slowest", "number"], ["CPU time", "number"], ["Share", "share"]]
            .map(([name, kind]) => h("th", { role: "columnheader", scope: "col", class: kind }, name)))),
        h("tbody", { role: "rowgroup" }, routes.map((/** @type {any} */ route) => h("tr", { role: "row" },
          h("td", { role: "cell", class: "service" }, h("span", { class: "clamped" }, route.service)),
          h("td", { role: "cell", class: "route" }, h("a", { class: "clamped", href: routeAddress(route.service, route.route) }, route.route)),
          h("td", { role: "cell", class: "number count" },
            h("a", { class: "inner", href: address("/", { service: route.service, route: route.route }), "aria-label": `${route.requests} requests of ${route.route}` }, route.requests.toLocaleString("en"))),
          h("td", { role: "cell", class: "number mean" }, duration(route.mean_duration_ns)),
          h("td", { role: "cell", class: "number slowest" }, duration(route.max_duration_ns)),
          h("td", { role: "cell", class: "number cpu" }, route.cpu_ns > 0 ? cpu(route.cpu_ns) : h("span", { class: "none" }, "none")),
          h("td", { role: "cell", class: "share" },
            h("span", { class: "timebar solid", role: "img", "aria-label": `${share(route.cpu_ns, total)} of all CPU time`, style: { "inline-size": `${(100 * route.cpu_ns) / most}%` } },
              h("span", { style: { "inline-size": "100%" } })))))))));
  return { title: "Routes" };
}
