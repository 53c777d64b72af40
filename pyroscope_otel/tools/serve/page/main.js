/** Starts the page, and shows what the address asks for. */

import { ask, listen, Refused, Unreachable } from "./api.js";
import { parse, withView } from "./address.js";
import { fill, h } from "./dom.js";
import { message } from "./empty.js";
import { count, period, sentence, stored } from "./format.js";
import { openDifference } from "./difference.js";
import { openRequest } from "./request.js";
import { openRequests } from "./requests.js";
import { openRoute } from "./route.js";
import { openRoutes } from "./routes.js";

/**
 * The current page.
 *
 * @typedef {object} Page
 * @property {string} title
 * @property {(place: import("./address.js").Place) => void} [update] only the view changed
 * @property {() => void} [changed] the server has something new
 */

/**
 * The environment of a page.
 *
 * @typedef {object} Surroundings
 * @property {HTMLElement} main the element for its contents
 * @property {AbortSignal} signal aborted when the page is left
 * @property {(changes: Record<string, string | null>, step?: boolean) => void} setView stores a
 *   view in the address; Back undoes a step
 */

/** @type {Record<string, (place: import("./address.js").Place, around: Surroundings) => Promise<Page>>} */
const PAGES = {
  requests: openRequests,
  routes: openRoutes,
  request: openRequest,
  route: openRoute,
  difference: openDifference,
};

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const foot = /** @type {HTMLElement} */ (document.getElementById("foot"));
const connection = /** @type {HTMLElement} */ (document.getElementById("connection"));

/** @type {{key: string, leave: AbortController, page: Page | null} | null} */
let shown = null;

async function go() {
  const place = parse(location.hash);
  if (shown?.key === place.key) {
    shown.page?.update?.(place);
    return;
  }
  const first = shown === null;
  shown?.leave.abort();
  const leave = new AbortController();
  const mine = { key: place.key, leave, page: /** @type {Page | null} */ (null) };
  shown = mine;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("data-page") === place.page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.setAttribute("aria-busy", "true");
  try {
    const open = PAGES[place.page];
    if (!open) throw new Refused(404, "there is no such page");
    const page = await open(place, { main, signal: leave.signal, setView });
    if (leave.signal.aborted) return;
    mine.page = page;
    // The view may have changed while the page was loading.
    const now = parse(location.hash);
    if (now.key === place.key && now.params.toString() !== place.params.toString()) page.update?.(now);
    document.title = `${page.title} – pyroscope-otel`;
  } catch (error) {
    if (leave.signal.aborted) return;
    showError(error);
  }
  main.setAttribute("aria-busy", "false");
  main.setAttribute("data-address", location.hash);
  // After a change of page, start at the top, or where the reader left this page.
  if (!first) main.focus({ preventScroll: true });
  scrollTo(0, history.state?.scrolled ?? 0);
}

/** @param {unknown} error */
function showError(error) {
  document.title = "pyroscope-otel";
  if (error instanceof Refused && error.status === 404) {
    fill(main, message("Not found", [
      sentence(error.message),
      "It may have been deleted: the server keeps data for a limited time and up to a limited size.",
    ], { href: "#/", text: "All requests" }));
  } else if (error instanceof Refused) {
    fill(main, message("The server refused", [sentence(error.message)], { href: "#/", text: "All requests" }));
  } else if (error instanceof Unreachable) {
    fill(main, message("No answer from the server", [
      "Is it still running? Start it again with:",
      h("code", { class: "block" }, "pyroscope-otel serve"),
      "This page continues when the server is back.",
    ]));
    if (shown) shown.key = "failed";
  } else {
    console.error(error);
    fill(main, message("This page has a bug", ["The browser's console shows the error."], { href: "#/", text: "All requests" }));
  }
}

/** @type {Surroundings["setView"]} */
function setView(changes, step = false) {
  const hash = withView(location.hash, changes);
  if (hash === location.hash) return;
  keepScroll();
  if (step) history.pushState(null, "", hash);
  else history.replaceState(history.state, "", hash);
}

function keepScroll() {
  history.replaceState({ scrolled: scrollY }, "");
}

async function showFoot() {
  const status = /** @type {import("./api.js").Status} */ (await ask("status"));
  fill(foot,
    h("p", {}, `Version ${status.version}. ${count(status.requests, "request")}, ${count(status.spans, "span")}, `,
      `${stored(status.stored_bytes)}; kept for ${period(status.bound.keep_seconds)} or ${stored(status.bound.max_bytes)}.`),
    h("p", {}, "A development server for your own machine: no users, no passwords, no long-term storage."));
}

/** @param {boolean} up */
function showConnection(up) {
  connection.classList.toggle("down", !up);
  connection.textContent = up ? "connected" : "server gone";
}

let footTimer = 0;

function changed() {
  if (shown?.key === "failed") go();
  else shown?.page?.changed?.();
  if (footTimer) return;
  footTimer = setTimeout(() => {
    footTimer = 0;
    showFoot().catch(() => {});
  }, 300);
}

document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the page's address
  main.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.closest("input, select, textarea")) return;
  const search = /** @type {HTMLInputElement | null} */ (main.querySelector("input[type=search]"));
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

history.scrollRestoration = "manual";
addEventListener("click", (event) => {
  if (/** @type {Element} */ (event.target).closest?.("a[href^='#']")) keepScroll();
}, true);
addEventListener("popstate", go);
addEventListener("hashchange", go); // not every browser fires popstate for it
go();
listen(changed, showConnection);
