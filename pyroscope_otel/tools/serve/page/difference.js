/** The difference between two requests, or between a request and the usual profile of its route. */

import { ask, askSource } from "./api.js";
import { differenceAddress, requestAddress, routeAddress } from "./address.js";
import { about } from "./cpu_time.js";
import { fill, h } from "./dom.js";
import { message } from "./empty.js";
import { fromDifference } from "./flame_tree.js";
import { count, share, time } from "./format.js";
import { change, CPU } from "./measures.js";
import { ProfilePanel } from "./profile_panel.js";
import { RequestTable } from "./request_table.js";

/** @typedef {import("./api.js").Request} Request */
/** @typedef {import("./measures.js").Measure} Measure */

/**
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 * @returns {Promise<import("./main.js").Page>}
 */
export async function openDifference(place, around) {
  const left = place.params.get("left") ?? "";
  const right = place.params.get("right") ?? "";
  const { request, profiler } = await ask(`requests/${left}`, {}, around.signal);
  return right ? compare(request, profiler.cpu_from, right, place, around) : choose(request, around);
}

/**
 * Let the reader choose what to compare with. Requests of the same route are offered first.
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
      ? message("No other request of this route", ["Send it again to compare the two."])
      : [
        h("p", {}, h("a", { class: "button", href: differenceAddress(request.profile_id, "route") }, `The usual of this route`)),
        h("h2", {}, "Or one of its requests"),
        h("div", { class: "scroll" }, table.element),
      ]);
  return { title: "Compare" };
}

/**
 * @param {Request} request
 * @param {import("./cpu_time.js").From} from how the CPU time of its service is measured
 * @param {string} right
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 */
async function compare(request, from, right, place, around) {
  const { signal } = around;
  const usual = right === "route";
  const against = usual ? { against_route: 1 } : { against: right };
  const other = usual ? null : (await ask(`requests/${right}`, {}, signal)).request;
  const sides = /** @type {[string, string]} */ (usual ? ["this request", "usual"] : ["A", "B"]);
  /** @type {(graph: any, measure: Measure) => Node} */
  const heads = (graph, measure) => {
    const [here, there] = [graph.left, graph.right].map((each) => each[`total_${measure.suffix}`]);
    const of = `${request.service}, ${time(request.start_ms)}`;
    return h("div", { class: "sides" },
      side(`${sides[0]}, ${measure.width}`, h("a", { href: requestAddress(request.profile_id) }, request.route), of, measure.text(here)),
      other
        ? side(`B, ${measure.width}`, h("a", { href: requestAddress(right) }, other.route), `${other.service}, ${time(other.start_ms)}`, measure.text(there))
        : side(`usual, ${measure.width}`, h("a", { href: routeAddress(request.service, request.route) }, request.route),
          `mean of ${count(graph.right.requests, "other request")}`, measure.text(there)),
      h("div", { class: "side result" }, h("span", { class: "which" }, `difference in ${measure.width}`),
        h("span", { class: `big ${here > there ? "plus" : here < there ? "minus" : ""}` }, change(measure, here - there)),
        h("span", { class: "quiet" }, verdict(measure, here - there, there, sides))));
  };
  const panel = new ProfilePanel({
    title: "Flame graph of the difference", name: usual ? `${request.route} against the usual` : "A against B",
    ask: (measure) => ask("difference", { profile_id: request.profile_id, ...against, type: measure.type }, signal),
    tree: fromDifference,
    // From the side that has the function.
    source: (frame, measure) => askSource(frame, measure, frame.left?.total ? { profile_id: request.profile_id }
      : usual ? { service: request.service, route: request.route } : { profile_id: right }, signal),
    above: heads, below: (measure) => about(measure, from), sides, around, missing: nothing,
  });
  await panel.load(place.params);
  fill(around.main,
    h("header", { class: "head" },
      h("div", { class: "what" }, h("h1", {}, usual ? "This request against the usual" : "Two requests")),
      h("nav", { class: "actions", "aria-label": "This difference" },
        !usual && h("a", { class: "button", href: differenceAddress(right, request.profile_id) }, "Swap A and B"),
        h("a", { class: "button", href: differenceAddress(request.profile_id) }, "Compare with another"))),
    panel.element);
  return { title: "Difference", update: (/** @type {import("./address.js").Place} */ next) => panel.apply(next.params) };
}

/** @param {Measure} measure */
function nothing(measure) {
  return h("div", { class: "message small", "data-finding": "no-samples" },
    h("h3", {}, "Neither side has a sample"),
    h("p", {}, measure === CPU ? "There is no CPU time to compare." : "There is no allocation to compare."));
}

/**
 * @param {string} which
 * @param {HTMLElement} link
 * @param {string} text
 * @param {string} value
 */
function side(which, link, text, value) {
  return h("div", { class: "side" }, h("span", { class: "which" }, which), h("span", { class: "big" }, value),
    h("span", { class: "breakable" }, link), h("span", { class: "quiet" }, text));
}

/**
 * @param {Measure} measure
 * @param {number} extra
 * @param {number} base
 * @param {[string, string]} sides
 */
function verdict(measure, extra, base, sides) {
  if (Math.abs(extra) < measure.least) return "the same";
  if (base <= 0) return `${sides[1]} has no sample`;
  return `${share(Math.abs(extra), base)} ${extra > 0 ? "more" : "less"} than ${sides[1]}`;
}
