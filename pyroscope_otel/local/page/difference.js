/** The difference of two requests, or of a request and its route's usual profile. */

import { ask } from "./api.js";
import { differenceAddress, requestAddress, routeAddress } from "./address.js";
import { fill, h } from "./dom.js";
import { message } from "./empty.js";
import { fromDifference } from "./flame_tree.js";
import { change, count, cpu, share, time } from "./format.js";
import { ProfileView } from "./profile_view.js";
import { RequestTable } from "./request_table.js";

/** @typedef {import("./api.js").Request} Request */

/**
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 * @returns {Promise<import("./main.js").Page>}
 */
export async function openDifference(place, around) {
  const left = place.params.get("left") ?? "";
  const right = place.params.get("right") ?? "";
  const { request } = await ask(`requests/${left}`, {}, around.signal);
  return right ? compare(request, right, place, around) : choose(request, around);
}

/**
 * Let the reader choose what to compare with: requests of the same route come to mind first.
 *
 * @param {Request} request
 * @param {import("./main.js").Surroundings} around
 */
async function choose(request, around) {
  const { service, route } = request;
  const { requests } = await ask("requests", { service, route, limit: 50 }, around.signal);
  const others = requests.filter((/** @type {Request} */ each) => each.profile_id !== request.profile_id);
  const table = new RequestTable({
    label: "Requests to compare with",
    link: (other) => differenceAddress(request.profile_id, other.profile_id),
  });
  table.replace(others);
  fill(around.main,
    h("header", { class: "head" }, h("div", { class: "what" },
      h("h1", {}, "Compare with"),
      h("p", { class: "lead" }, "What did ", h("a", { href: requestAddress(request.profile_id) }, `${route}, ${time(request.start_ms)}`), " do that the other did not?"))),
    others.length === 0
      ? message("No other request of this route", ["Send it once more, and it can be compared."])
      : [
        h("p", {}, h("a", { class: "button", href: differenceAddress(request.profile_id, "route") }, `The usual of this route`)),
        h("h2", {}, "Or one of its requests"),
        h("div", { class: "scroll" }, table.element),
      ]);
  return { title: "Compare" };
}

/**
 * @param {Request} request
 * @param {string} right
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 */
async function compare(request, right, place, around) {
  const { signal } = around;
  const usual = right === "route";
  const against = usual ? { against_route: 1 } : { against: right };
  const [difference, other] = await Promise.all([
    ask("difference", { profile_id: request.profile_id, ...against }, signal),
    usual ? null : ask(`requests/${right}`, {}, signal),
  ]);
  const sides = /** @type {[string, string]} */ (usual ? ["this request", "usual"] : ["A", "B"]);
  const extra = difference.left.total_ns - difference.right.total_ns;
  const title = h("h1", {}, usual ? "This request against the usual" : "Two requests");
  const heads = h("div", { class: "sides" },
    side(sides[0], h("a", { href: requestAddress(request.profile_id) }, request.route), `${request.service}, ${time(request.start_ms)}`, difference.left.total_ns),
    usual
      ? side("usual", h("a", { href: routeAddress(request.service, request.route) }, request.route), `mean of ${count(difference.right.requests, "other request")}`, difference.right.total_ns)
      : side("B", h("a", { href: requestAddress(right) }, other.request.route), `${other.request.service}, ${time(other.request.start_ms)}`, difference.right.total_ns),
    h("div", { class: "side result" }, h("span", { class: "which" }, "difference"),
      h("span", { class: `big ${extra > 0 ? "plus" : extra < 0 ? "minus" : ""}` }, change(extra)),
      h("span", { class: "quiet" }, verdict(extra, difference.right.total_ns, sides))));
  const nothing = difference.left.total_ns + difference.right.total_ns === 0;
  const view = nothing ? null : new ProfileView({
    root: fromDifference(difference.root), name: usual ? `${request.route} against the usual` : `A against B`,
    sides, setView: around.setView, signal,
  });
  fill(around.main,
    h("header", { class: "head" }, h("div", { class: "what" }, title),
      h("nav", { class: "actions", "aria-label": "This difference" },
        !usual && h("a", { class: "button", href: differenceAddress(right, request.profile_id) }, "Swap A and B"),
        h("a", { class: "button", href: differenceAddress(request.profile_id) }, "Compare with another"))),
    heads,
    h("section", { class: "panel" },
      h("h2", {}, "Flame graph of the difference"),
      view ? view.element : h("div", { class: "message small", "data-finding": "no-samples" },
        h("h3", {}, "Neither side has a sample"), h("p", {}, "There is no CPU time to compare."))));
  view?.apply(place.params);
  return { title: "Difference", update: (/** @type {import("./address.js").Place} */ next) => view?.apply(next.params) };
}

/**
 * @param {string} which
 * @param {HTMLElement} link
 * @param {string} text
 * @param {number} ns
 */
function side(which, link, text, ns) {
  return h("div", { class: "side" }, h("span", { class: "which" }, which), h("span", { class: "big" }, cpu(ns)),
    h("span", { class: "breakable" }, link), h("span", { class: "quiet" }, text));
}

/**
 * @param {number} extra
 * @param {number} base
 * @param {[string, string]} sides
 */
function verdict(extra, base, sides) {
  if (Math.abs(extra) < 500_000) return "the same CPU time";
  if (base <= 0) return `${sides[1]} has no sample`;
  return `${share(Math.abs(extra), base)} ${extra > 0 ? "more" : "less"} than ${sides[1]}`;
}
