/** The list of recent requests, live as they arrive. */

import { ask, Refused, Unreachable } from "./api.js";
import { parse } from "./address.js";
import { fill, h } from "./dom.js";
import { diagnose, showFinding } from "./empty.js";
import { count } from "./format.js";
import { RequestTable } from "./request_table.js";

const PAGE = 50;
const MOST = 400; // rows; more would only slow the page down

const FILTERS = ["service", "route", "min_ms", "status"];

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
    this.missing = ""; // what is said about it
    this.whole = false; // nothing is missing
    this.table = new RequestTable();
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
    this.status = select("status", "Status",
      h("option", { value: "" }, "All"), h("option", { value: "error" }, "Errors"), h("option", { value: "ok" }, "No errors"));
    let typing = 0;
    this.slower = h("label", { class: "slower" }, h("span", {}, "Slower than"),
      h("span", { class: "unit" },
        h("input", {
          type: "number", name: "min_ms", min: "0", step: "any", inputmode: "decimal", placeholder: "0",
          on: { input: () => { clearTimeout(typing); typing = setTimeout(() => this.chosen(), 250); } },
        }), " ms"));
    this.pause = h("button", { type: "button", class: "live", "aria-pressed": "true", on: { click: () => this.toggleLive() } }, "Live");
    return h("form", { class: "filters", "aria-label": "Filters", on: { submit: (/** @type {Event} */ event) => event.preventDefault() } },
      this.service, this.route, this.slower, this.status, this.pause);
  }

  /** Show the list for the first time. */
  async load() {
    const [answer, status, { routes }] = await Promise.all([
      this.ask(), ask("status", {}, this.around.signal), ask("routes", {}, this.around.signal),
    ]);
    if (this.around.signal.aborted) return;
    this.routes = routes;
    fill(this.around.main, h("h1", { class: "unseen" }, "Requests"), this.notice, this.controls, this.empty,
      h("div", { class: "scroll" }, this.table.element), this.more, this.arrived);
    this.showControls();
    this.show(answer, status);
  }

  /** @param {Record<string, string>} [more] */
  ask(more) {
    const filters = Object.fromEntries(FILTERS.map((name) => [name, this.params.get(name)]));
    return ask("requests", { ...filters, limit: PAGE, ...more }, this.around.signal);
  }

  /** @param {any} answer @param {import("./api.js").Status} status */
  show(answer, status) {
    this.table.replace(answer.requests);
    this.next = answer.next;
    this.more.hidden = !this.next;
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
    // Redrawn only when it says something else: somebody may be reading or copying it.
    const state = `${finding?.id} ${none} ${filtered} ${started}`;
    if (state === this.missing) return;
    this.missing = state;
    fill(this.notice, finding && started && showFinding(finding, "aside"));
    fill(this.empty,
      none && !started && finding && showFinding(finding),
      none && started && h("section", { class: "message", "data-finding": "filtered" },
        h("h2", {}, filtered ? "No request matches" : "No request"),
        h("p", {}, `Of ${count(status.requests, "stored request")} none is of this service, route, duration and status.`),
        filtered && h("p", {}, h("a", { href: "#/" }, "Clear the filters"))));
    this.controls.hidden = !started;
    this.table.element.hidden = none;
  }

  /**
   * Do what needs the server. That it is gone is said at the top of the page, and the list
   * stays as it is.
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
    options(this.service, "All services", [...services].sort(), service);
    options(this.route, "All routes", [...names].sort(), route);
    this.status.querySelector("select").value = this.params.get("status") ?? "";
    const input = this.slower.querySelector("input");
    if (document.activeElement !== input) input.value = this.params.get("min_ms") ?? "";
  }

  /** The reader has set a filter. */
  chosen() {
    const value = (/** @type {any} */ label) => label.querySelector("select, input").value;
    const service = value(this.service);
    let route = value(this.route);
    const known = this.routes.some((/** @type {any} */ each) => each.route === route && (!service || each.service === service));
    if (!known && service !== (this.params.get("service") ?? "")) route = "";
    const slower = Number(value(this.slower)) > 0 ? value(this.slower) : "";
    const changes = { service, route, min_ms: slower, status: value(this.status) };
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
    // Another filter may have been set meanwhile: its answer is the one to show.
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

  /** The server has something new: at most one question at a time. */
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
    // Once nothing is missing, it need not be looked for with every request that comes.
    const [answer, status] = await Promise.all([
      this.ask(), this.whole ? null : ask("status", {}, this.around.signal),
    ]);
    if (answer.requests.some((/** @type {any} */ request) => !this.knows(request))) {
      this.routes = (await ask("routes", {}, this.around.signal)).routes;
      if (params === this.params) this.showControls();
    }
    if (params !== this.params || this.around.signal.aborted) return;
    const fresh = this.table.refresh(answer.requests);
    const newest = [...this.table.rows.values()][0]?.request.start_ms ?? -Infinity;
    if (this.table.rows.size === 0 && fresh.length) {
      this.show(answer, status);
      return;
    }
    if (fresh.length === 0) this.setPending(0);
    else if (this.mayMove()) {
      const gap = fresh.length === answer.requests.length;
      // A span that took long arrives after later ones: it belongs further down.
      const inOrder = fresh.every((request) => request.start_ms >= newest);
      if (gap || !inOrder || this.table.rows.size > MOST) {
        this.table.replace(answer.requests);
        this.next = answer.next;
      } else this.table.insert(fresh);
      this.setPending(0);
    } else this.setPending(fresh.length);
    if (status) this.showMissing(status);
    this.more.hidden = !this.next;
  }

  /** @param {import("./api.js").Request} request */
  knows(request) {
    return this.routes.some((/** @type {any} */ each) => each.service === request.service && each.route === request.route);
  }

  /** Whether rows may move without taking the page from under the reader's eyes or pointer. */
  mayMove() {
    const table = this.table.element;
    return this.live && scrollY < 8 && !table.matches(":hover") && !table.contains(document.activeElement);
  }

  /** @param {number} number requests that have arrived and are not shown */
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
 * @param {string[]} values
 * @param {string} chosen
 */
function options(label, all, values, chosen) {
  const select = label.querySelector("select");
  fill(select, h("option", { value: "" }, all), values.map((value) => h("option", { value }, value)));
  select.value = chosen;
}
