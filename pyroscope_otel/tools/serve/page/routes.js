/** The page of all routes, which shows where a service spends its CPU time. */

import { ask } from "./api.js";
import { address, differenceAddress, requestAddress, routeAddress } from "./address.js";
import { fill, h } from "./dom.js";
import { diagnose, message, showFinding } from "./empty.js";
import { bytes, cpu, duration, share } from "./format.js";

/**
 * @typedef {object} Route
 * @property {string} service
 * @property {string} route
 * @property {number} requests
 * @property {number} errors
 * @property {number} p50_duration_ns
 * @property {number} p95_duration_ns
 * @property {number} max_duration_ns
 * @property {string} slowest
 * @property {number} cpu_ns
 * @property {number | null} alloc_bytes
 *
 * @typedef {{name: string, kind: string, sort?: string, cell: (route: Route, total: number) => any}} Column
 */

/** @type {Column[]} */
const COLUMNS = [
  { name: "Service", kind: "service", cell: (route) => h("span", { class: "clamped" }, route.service) },
  { name: "Route", kind: "route", cell: (route) => h("a", { class: "clamped", href: routeAddress(route.service, route.route) }, route.route) },
  {
    name: "Requests", kind: "number count", sort: "requests",
    cell: (route) => h("a", {
      class: "inner", href: address("/", { service: route.service, route: route.route }),
      "aria-label": `${route.requests} requests of ${route.route}`,
    }, route.requests.toLocaleString("en")),
  },
  {
    name: "Errors", kind: "number errors", sort: "errors",
    cell: (route) => (route.errors === 0 ? h("span", { class: "none" }, "0") : h("a", {
      class: "inner failed", href: address("/", { service: route.service, route: route.route, status: "error" }),
    }, `${route.errors.toLocaleString("en")}, ${share(route.errors, route.requests)}`)),
  },
  { name: "p50", kind: "number p50", sort: "p50_duration_ns", cell: (route) => duration(route.p50_duration_ns) },
  { name: "p95", kind: "number p95", sort: "p95_duration_ns", cell: (route) => duration(route.p95_duration_ns) },
  {
    name: "Slowest", kind: "number slowest", sort: "max_duration_ns",
    cell: (route) => h("a", {
      class: "inner", "aria-label": `Explain the slowest of ${route.route}: ${duration(route.max_duration_ns)}`,
      href: route.requests > 1 ? differenceAddress(route.slowest, "route") : requestAddress(route.slowest),
    }, duration(route.max_duration_ns)),
  },
  { name: "Allocated", kind: "number memory", sort: "alloc_bytes", cell: (route) => (route.alloc_bytes === null ? h("span", { class: "none" }, "none") : bytes(route.alloc_bytes)) },
  { name: "CPU time", kind: "number cpu", sort: "cpu_ns", cell: (route) => (route.cpu_ns > 0 ? cpu(route.cpu_ns) : h("span", { class: "none" }, "none")) },
  {
    name: "of all CPU time", kind: "share",
    cell: (route, total) => h("span", { class: "shared" },
      h("span", { class: "gauge", "aria-hidden": "true" }, h("span", { style: { "inline-size": `${(100 * route.cpu_ns) / Math.max(1, total)}%` } })),
      share(route.cpu_ns, total)),
  },
];

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
  const total = routes.reduce((/** @type {number} */ sum, /** @type {Route} */ route) => sum + route.cpu_ns, 0);
  const memory = routes.some((/** @type {Route} */ route) => route.alloc_bytes !== null);
  const columns = COLUMNS.filter((column) => memory || column.sort !== "alloc_bytes");
  const body = h("tbody", { role: "rowgroup" });
  const head = h("tr", { role: "row" }, columns.map(({ name, kind, sort }) =>
    h("th", { role: "columnheader", scope: "col", class: kind, "data-sort": sort },
      sort ? h("button", { type: "button", class: "sort", on: { click: () => { around.setView({ sort: sort === "cpu_ns" ? null : sort }, true); show(sort); } } }, name) : name)));
  const show = (/** @type {string} */ sort) => {
    const value = (/** @type {any} */ route) => Number(route[sort] ?? -1);
    routes.sort((/** @type {Route} */ a, /** @type {Route} */ b) => value(b) - value(a) || b.requests - a.requests);
    for (const header of head.children) {
      if (header.getAttribute("data-sort") === sort) header.setAttribute("aria-sort", "descending");
      else header.removeAttribute("aria-sort");
    }
    fill(body, routes.map((/** @type {Route} */ route) => row(route, total, columns)));
  };
  const sortOf = (/** @type {URLSearchParams} */ params) => columns.find(({ sort }) => sort === params.get("sort"))?.sort ?? "cpu_ns";
  show(sortOf(place.params));
  fill(around.main,
    h("h1", {}, "Routes"),
    routes.length === 0 && (finding ? showFinding(finding) : message("No route", ["No request is stored."])),
    routes.length > 0 && h("p", { class: "lead" }, "All stored requests. A route opens its merged flame graph. Its slowest request opens the difference from the usual profile."),
    routes.length > 0 && h("div", { class: "scroll" },
      h("table", { class: "routes", role: "table", "aria-label": "Routes" }, h("thead", { role: "rowgroup" }, head), body)));
  return { title: "Routes", update: (next) => show(sortOf(next.params)) };
}

/**
 * @param {Route} route
 * @param {number} total
 * @param {Column[]} columns
 */
function row(route, total, columns) {
  return h("tr", { role: "row" }, columns.map(({ kind, cell }) => h("td", { role: "cell", class: kind }, cell(route, total))));
}
