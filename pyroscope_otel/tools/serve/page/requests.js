/** The list of recent requests, updated live. */

import { ask, Refused, Unreachable } from "./api.js";
import { parse } from "./address.js";
import { fill, h } from "./dom.js";
import { diagnose, showFinding } from "./empty.js";
import { count } from "./format.js";
import { RequestTable } from "./request_table.js";

const PAGE = 50;
const MAX_ROWS = 400; // rows; more would slow the page down

const FILTERS = ["text", "service", "route", "min_ms", "max_ms", "status", "last", "since_ms", "until_ms"];
const PERIODS = [["1", "last minute"], ["5", "last 5 minutes"], ["15", "last 15 minutes"], ["60", "last hour"]];
const STATUSES = [["error", "Errors"], ["ok", "No errors"], ["2xx", "2xx"], ["3xx", "3xx"], ["4xx", "4xx"], ["5xx", "5xx"]];

/**
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 * @returns {Promise<import("./main.js").Page>}
 */
export async function openRequests(place, around) {
  const list = new RequestList(place.params, around);
  await list.load();
  return {
    title: "Requests",
    update: (next) => list.filter(next.params),
    changed: () => list.changed(),
  };
}

class RequestList {
  /**
   * @param {URLSearchParams} params
   * @param {import("./main.js").Surroundings} around
   */
  constructor(params, around) {
    this.around = around;
    this.params = params;
    /** @type {string | null} */
    this.next = null;
    this.live = true;
    this.asking = false;
    this.again = false;
    this.missing = ""; // the message that is shown
    this.whole = false; // whether nothing is missing
    this.table = new RequestTable({ onSort: (sort) => this.sort(sort) });
    this.notice = h("div");
    this.controls = this.makeControls();
    this.empty = h("div");
    this.more = h("button", { type: "button", class: "show-more", on: { click: () => this.loadMore() } }, "Show older requests");
    this.arrived = h("button", { type: "button", class: "arrivals", hidden: true, on: { click: () => this.showArrived() } });
  }

  makeControls() {
    const select = (/** @type {string} */ name, /** @type {string} */ label, /** @type {any[]} */ ...options) =>
      h("label", {}, h("span", {}, label), h("select", { name, on: { change: () => this.chosen() } }, options));
    this.service = select("service", "Service");
    this.route = select("route", "Route");
    this.status = select("status", "Status");
    this.period = select("last", "Time");
    let typing = 0;
    const typed = () => { clearTimeout(typing); typing = setTimeout(() => this.chosen(), 250); };
    const bound = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string} */ placeholder) =>
      h("label", { class: "bound" }, h("span", {}, label), h("span", { class: "unit" },
        h("input", { type: "number", name, min: "0", step: "any", inputmode: "decimal", placeholder, on: { input: typed } }), " ms"));
    this.slower = bound("min_ms", "Slower than", "0");
    this.faster = bound("max_ms", "Faster than", "∞");
    this.text = h("label", { class: "text" }, h("span", {}, "Search"), h("input", {
      type: "search", name: "text", placeholder: "Route, URL or id", autocomplete: "off", spellcheck: "false",
      "aria-keyshortcuts": "/", on: { input: typed },
    }));
    // Only on a phone, where the filters would take half of the screen.
    this.fold = h("button", { type: "button", class: "fold", on: { click: () => this.foldFilters(!this.controls.classList.contains("folded")) } }, "Filters");
    this.pause = h("button", { type: "button", class: "live", "aria-pressed": "true", on: { click: () => this.toggleLive() } }, "Live");
    return h("form", { class: "filters", "aria-label": "Filters", on: { submit: (/** @type {Event} */ event) => event.preventDefault() } },
      this.text, this.fold, this.service, this.route, this.slower, this.faster, this.status, this.period, this.pause);
  }

  /** @param {boolean} folded */
  foldFilters(folded) {
    this.controls.classList.toggle("folded", folded);
    this.fold.setAttribute("aria-expanded", String(!folded));
  }

  /** Show the list for the first time. */
  async load() {
    const [answer, status, { routes }] = await Promise.all([
      this.ask(), ask("status", {}, this.around.signal), ask("routes", { names: 1 }, this.around.signal),
    ]);
    if (this.around.signal.aborted) return;
    this.routes = routes;
    fill(this.around.main, h("h1", { class: "unseen" }, "Requests"), this.notice, this.controls, this.empty,
      h("div", { class: "scroll" }, this.table.element), this.table.about, this.more, this.arrived);
    this.showControls();
    this.foldFilters(true);
    this.show(answer, status);
  }

  /** @param {Record<string, string>} [more] */
  ask(more) {
    const { last, ...filters } = Object.fromEntries(FILTERS.map((name) => [name, this.params.get(name)]));
    if (Number(last) > 0) filters.since_ms = String(Date.now() - Number(last) * 60_000);
    return ask("requests", { ...filters, sort: this.params.get("sort"), limit: PAGE, ...more }, this.around.signal);
  }

  /** @param {string} sort */
  sort(sort) {
    this.around.setView({ sort: sort === "start" ? null : sort }, true);
    this.filter(parse(location.hash).params);
  }

  /** @param {any} answer @param {import("./api.js").Status} status */
  show(answer, status) {
    this.table.replace(answer.requests);
    this.table.showSort(this.params.get("sort") ?? "start");
    this.next = answer.next;
    this.more.hidden = !this.next;
    this.more.textContent = this.params.get("sort") ? "Show more requests" : "Show older requests";
    this.showMissing(status);
    this.setPending(0);
  }

  /** @param {import("./api.js").Status} status */
  showMissing(status) {
    const finding = diagnose(status, location.origin);
    const none = this.table.rows.size === 0;
    this.whole = finding === null && !none;
    const filtered = FILTERS.some((name) => this.params.get(name));
    const started = status.requests > 0;
    // Redraw only if the message changes: the reader may be copying from it.
    const state = `${finding?.id} ${none} ${filtered} ${started}`;
    if (state === this.missing) return;
    this.missing = state;
    fill(this.notice, finding && started && showFinding(finding, "aside"));
    fill(this.empty,
      none && !started && finding && showFinding(finding),
      none && started && h("section", { class: "message", "data-finding": "filtered" },
        h("h2", {}, filtered ? "No request matches" : "No request"),
        h("p", {}, `None of ${count(status.requests, "stored request")} matches.`),
        filtered && h("p", {}, h("a", { href: "#/" }, "Clear the filters"))));
    this.controls.hidden = !started;
    this.table.element.hidden = none;
  }

  /**
   * Run an action that needs the server. If the server is gone, the top of the page says so, and
   * the list stays as it is.
   *
   * @param {() => Promise<void>} action
   */
  async attempt(action) {
    try {
      await action();
    } catch (error) {
      const usual = error instanceof Unreachable || error instanceof Refused || this.around.signal.aborted;
      if (!usual) throw error;
    }
  }

  showControls() {
    const service = this.params.get("service") ?? "";
    const route = this.params.get("route") ?? "";
    const services = new Set(this.routes.map((/** @type {any} */ each) => each.service));
    if (service) services.add(service);
    const names = new Set(this.routes.filter((/** @type {any} */ each) => !service || each.service === service)
      .map((/** @type {any} */ each) => each.route));
    if (route) names.add(route);
    options(this.service, "All services", pairs(services), service);
    options(this.route, "All routes", pairs(names), route);
    const status = this.params.get("status") ?? "";
    // Add an option for a status from the address, such as 404.
    const more = status && !STATUSES.some(([value]) => value === status) ? [[status, status]] : [];
    options(this.status, "All", [...STATUSES, ...more], status);
    const range = this.params.has("since_ms") || this.params.has("until_ms");
    // The search is never folded.
    const set = FILTERS.filter((name) => name !== "text" && this.params.get(name)).length;
    this.fold.textContent = set ? `Filters (${set})` : "Filters";
    options(this.period, range ? "as in the address" : "any", PERIODS, this.params.get("last") ?? "");
    for (const label of [this.text, this.slower, this.faster]) {
      const input = label.querySelector("input");
      if (document.activeElement !== input) input.value = this.params.get(input.name) ?? "";
    }
  }

  /** Apply the filters that the reader has set. */
  chosen() {
    const value = (/** @type {any} */ label) => label.querySelector("select, input").value;
    const service = value(this.service);
    let route = value(this.route);
    const known = this.routes.some((/** @type {any} */ each) => each.route === route && (!service || each.service === service));
    if (!known && service !== (this.params.get("service") ?? "")) route = "";
    const bound = (/** @type {any} */ label) => (Number(value(label)) > 0 ? value(label) : "");
    const last = value(this.period);
    const changes = {
      text: value(this.text).trim(), service, route, min_ms: bound(this.slower), max_ms: bound(this.faster),
      status: value(this.status), last, ...(last ? { since_ms: null, until_ms: null } : {}),
    };
    this.around.setView(changes, true);
    this.filter(parse(location.hash).params);
  }

  /** @param {URLSearchParams} params */
  async filter(params) {
    if (params.toString() === this.params.toString()) return;
    this.params = params;
    this.showControls();
    await this.attempt(() => this.reload());
  }

  async reload() {
    const params = this.params;
    const [answer, status] = await Promise.all([this.ask(), ask("status", {}, this.around.signal)]);
    // Ignore the response if another filter has been set meanwhile.
    if (params === this.params) this.show(answer, status);
  }

  async loadMore() {
    this.more.disabled = true;
    await this.attempt(async () => {
      const params = this.params;
      const answer = await this.ask({ before: /** @type {string} */ (this.next) });
      if (params !== this.params) return;
      this.table.add(answer.requests.filter((/** @type {any} */ request) => !this.table.rows.has(request.profile_id)));
      this.next = answer.next;
      this.more.hidden = !this.next;
    });
    this.more.disabled = false;
  }

  /** Load what is new, with at most one query at a time. */
  async changed() {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    do {
      this.again = false;
      await this.attempt(() => this.refresh());
    } while (this.again);
    this.asking = false;
  }

  async refresh() {
    const params = this.params;
    // Once nothing is missing, do not check again with every request.
    const [answer, status] = await Promise.all([
      this.ask(), this.whole ? null : ask("status", {}, this.around.signal),
    ]);
    if (answer.requests.some((/** @type {any} */ request) => !this.knows(request))) {
      this.routes = (await ask("routes", { names: 1 }, this.around.signal)).routes;
      if (params === this.params) this.showControls();
    }
    if (params !== this.params || this.around.signal.aborted) return;
    const fresh = this.table.refresh(answer.requests);
    if (this.params.get("sort")) {
      this.refreshSorted(answer, status, fresh.length);
      return;
    }
    const newest = [...this.table.rows.values()][0]?.request.start_ms ?? -Infinity;
    if (this.table.rows.size === 0 && fresh.length) {
      this.show(answer, status);
      return;
    }
    if (fresh.length === 0) this.setPending(0);
    else if (this.mayMove()) {
      const gap = fresh.length === answer.requests.length;
      // A long span arrives after spans that started later, so it belongs further down.
      const inOrder = fresh.every((request) => request.start_ms >= newest);
      if (gap || !inOrder || this.table.rows.size > MAX_ROWS) {
        this.table.replace(answer.requests);
        this.next = answer.next;
      } else this.table.insert(fresh);
      this.setPending(0);
    } else this.setPending(fresh.length);
    if (status) this.showMissing(status);
    this.more.hidden = !this.next;
  }

  /**
   * Update a list that is not sorted by time, in which new rows can be anywhere.
   *
   * @param {any} answer
   * @param {any} status
   * @param {number} fresh
   */
  refreshSorted(answer, status, fresh) {
    const shown = [...this.table.rows.keys()];
    const same = answer.requests.every((/** @type {any} */ request, /** @type {number} */ at) => request.profile_id === shown[at]);
    if (same) this.setPending(0);
    else if (this.mayMove() && shown.length <= PAGE) {
      this.table.replace(answer.requests);
      this.next = answer.next;
      this.more.hidden = !this.next;
      this.setPending(0);
    } else this.setPending(fresh);
    if (status) this.showMissing(status);
  }

  /** @param {import("./api.js").Request} request */
  knows(request) {
    return this.routes.some((/** @type {any} */ each) => each.service === request.service && each.route === request.route);
  }

  /** Whether rows may move without disturbing the reader. */
  mayMove() {
    const table = this.table.element;
    return this.live && scrollY < 8 && !table.matches(":hover") && !table.contains(document.activeElement);
  }

  /** @param {number} number new requests that are not shown yet */
  setPending(number) {
    this.arrived.hidden = number === 0;
    this.arrived.textContent = `${number >= PAGE ? `${PAGE} or more new requests` : count(number, "new request")} ↑`;
  }

  async showArrived() {
    await this.attempt(async () => {
      await this.reload();
      scrollTo(0, 0);
      this.table.element.querySelector("a")?.focus({ preventScroll: true });
    });
  }

  toggleLive() {
    this.live = !this.live;
    this.pause.setAttribute("aria-pressed", String(this.live));
    if (this.live) this.changed();
  }
}

/**
 * @param {any} label
 * @param {string} all
 * @param {string[][]} values with their names
 * @param {string} chosen
 */
function options(label, all, values, chosen) {
  const select = label.querySelector("select");
  fill(select, h("option", { value: "" }, all), values.map(([value, name]) => h("option", { value }, name)));
  select.value = chosen;
}

/** @param {Set<string>} names */
function pairs(names) {
  return [...names].sort().map((name) => [name, name]);
}
