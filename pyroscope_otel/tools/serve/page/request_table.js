/** A table of requests, for the list, the page of a route, and the choice of a comparison. */

import { requestAddress } from "./address.js";
import { fill, h } from "./dom.js";
import { inShort, isOver, names, whole } from "./cpu_time.js";
import { bytes, count, cpu, duration, isoTime, share, time } from "./format.js";

/** @typedef {import("./api.js").Request} Request */

/** @type {[string, string, string?][]} name, class, and sort order */
const COLUMNS = [
  ["Time", "", "start"], ["Service", ""], ["Route", ""], ["Status", ""], ["Duration", "number", "duration"],
  ["CPU", "number", "cpu"], ["Allocated", "number memory", "allocated"], ["CPU in the duration", "share"],
];

/**
 * A table that is filled row by row.
 *
 * The length of a bar is the request's duration, relative to the longest in the table. The dark
 * part is its CPU time. The light part was spent waiting, or was not sampled.
 */
export class RequestTable {
  /**
   * @param {object} [options]
   * @param {(request: Request) => string} [options.link] the link of a row
   * @param {string} [options.label]
   * @param {(sort: string) => void} [options.onSort] sorts the rows; without it, they have one order
   */
  constructor({ link = (request) => requestAddress(request.profile_id), label = "Requests", onSort } = {}) {
    this.link = link;
    /** @type {Map<string, {row: HTMLElement, request: Request}>} newest first, as shown */
    this.rows = new Map();
    this.body = h("tbody", { role: "rowgroup" });
    this.longest = h("span");
    // A phone shows no headers.
    this.key = h("caption", { class: "key" },
      h("span", { class: "swatch elapsed" }), "duration, 0 to ", this.longest, h("span", { class: "swatch spent" }), "CPU time in it");
    this.element = h("table", { class: "requests", role: "table", "aria-label": label }, this.key,
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
        COLUMNS.map(([name, kind, sort]) => h("th", { role: "columnheader", scope: "col", class: kind, "data-sort": onSort && sort },
          onSort && sort ? h("button", { type: "button", class: "sort", on: { click: () => onSort(sort) } }, name) : name)))),
      this.body);
    this.about = h("p", { class: "about" });
    this.scaleName = /** @type {HTMLElement} */ (this.element.querySelector("th.share"));
  }

  /** @param {Request[]} requests */
  replace(requests) {
    this.rows.clear();
    fill(this.body);
    this.add(requests);
  }

  /**
   * Add rows at the bottom.
   *
   * @param {Request[]} requests
   */
  add(requests) {
    for (const request of requests) {
      const row = this.make(request);
      this.rows.set(request.profile_id, { row, request });
      this.body.append(row);
    }
    this.scale();
  }

  /**
   * Add rows at the top.
   *
   * @param {Request[]} requests newest first
   */
  insert(requests) {
    const old = [...this.rows];
    this.rows.clear();
    const rows = requests.map((request) => {
      const row = this.make(request);
      row.classList.add("arrived");
      this.rows.set(request.profile_id, { row, request });
      return row;
    });
    for (const [id, entry] of old) this.rows.set(id, entry);
    this.body.prepend(...rows);
    this.scale();
  }

  /**
   * Update the rows of requests that have changed.
   *
   * @param {Request[]} requests
   * @returns {Request[]} those without a row
   */
  refresh(requests) {
    const unknown = requests.filter((request) => !this.rows.has(request.profile_id));
    for (const request of requests) {
      const entry = this.rows.get(request.profile_id);
      if (!entry || JSON.stringify(entry.request) === JSON.stringify(request)) continue;
      entry.request = request;
      // Keep the link element, as it may have the focus.
      const fresh = this.make(request);
      [...entry.row.children].forEach((cell) => {
        if (!cell.contains(document.activeElement)) cell.replaceWith(fresh.children[0]);
        else fresh.children[0].remove();
      });
    }
    this.scale();
    return unknown;
  }

  /** @param {string} sort */
  showSort(sort) {
    for (const header of this.element.querySelectorAll("th[data-sort]")) {
      if (header.getAttribute("data-sort") === sort) header.setAttribute("aria-sort", "descending");
      else header.removeAttribute("aria-sort");
    }
  }

  /**
   * @param {Request} request
   * @returns {HTMLElement}
   */
  make(request) {
    const failed = request.status === "error";
    return h("tr", { role: "row", "data-profile": request.profile_id },
      h("td", { role: "cell", class: "time" }, h("time", { datetime: isoTime(request.start_ms) }, time(request.start_ms))),
      h("td", { role: "cell", class: "service" }, h("span", { class: "clamped" }, request.service)),
      h("td", { role: "cell", class: "route" }, h("span", { class: "names" },
        h("a", { class: "clamped", href: this.link(request) }, request.route),
        request.target && h("span", { class: "target", title: request.target }, request.target))),
      h("td", { role: "cell", class: "status" }, statusMark(failed, request.http_status)),
      h("td", { role: "cell", class: "number duration" }, duration(request.duration_ns), held(request)),
      h("td", { role: "cell", class: "number cpu" },
        request.cpu_ns === null
          ? h("span", { class: "none", title: "No sample hit it (yet)" }, "none")
          : h("span", { title: request.samples ? count(request.samples, "sample") : null }, cpu(request.cpu_ns))),
      h("td", { role: "cell", class: "number memory" },
        request.alloc_bytes === null
          ? h("span", { class: "none", title: "No allocation was sampled (yet)" }, "none")
          : h("span", { title: count(request.alloc_objects ?? 0, "object") }, bytes(request.alloc_bytes))),
      h("td", { role: "cell", class: "share" }, timeBar(request)));
  }

  /** Make the bars comparable. */
  scale() {
    let longest = 1;
    let memory = false;
    for (const { request } of this.rows.values()) {
      longest = Math.max(longest, request.duration_ns);
      memory ||= request.alloc_bytes !== null;
    }
    // Hide the column if no memory is profiled.
    this.longest.textContent = duration(longest);
    this.scaleName.textContent = this.rows.size ? `CPU in the duration, 0 to ${duration(longest)}` : "CPU in the duration";
    this.element.classList.toggle("without-memory", !memory);
    this.about.textContent = inShort([...this.rows.values()].map(({ request }) => request.cpu_from));
    for (const { row, request } of this.rows.values()) {
      const bar = /** @type {HTMLElement} */ (row.querySelector(".timebar"));
      bar.style.setProperty("inline-size", `${Math.max(0.6, (100 * request.duration_ns) / longest)}%`);
    }
  }
}

/**
 * @param {boolean} failed
 * @param {number | null} http
 */
export function statusMark(failed, http) {
  const text = `${http ?? ""}`;
  if (!failed) return text || "ok";
  return h("span", { class: "failed" }, h("span", { "aria-hidden": "true" }, "✕ "), text ? `${text} error` : "error");
}

/** @param {Request} request */
function held({ held_ns }) {
  return held_ns !== null && h("span", { class: "held", title: "From its start until it was let go, after its root span" }, `held ${duration(held_ns)}`);
}

/** @param {Request} request */
function timeBar(request) {
  const part = Math.min(1, (request.cpu_ns ?? 0) / Math.max(1, whole(request)));
  const over = isOver(request);
  const called = names(request.cpu_from).share;
  const text = request.cpu_ns === null ? "no sample" : `${share(request.cpu_ns, whole(request))} ${called}${request.held_ns === null ? "" : " while it was held"}`;
  const why = over ? `${text}: more than ${request.held_ns === null ? "its root span took" : "that time"}. Its page explains why` : text;
  return h("span", { class: `timebar${over ? " over" : ""}`, role: "img", "aria-label": why, title: why },
    h("span", { style: { "inline-size": `${100 * part}%` } }));
}
