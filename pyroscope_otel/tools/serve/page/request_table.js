/** Requests as the rows of a table: in the list, on a route's page, in a choice. */

import { requestAddress } from "./address.js";
import { fill, h } from "./dom.js";
import { inShort, isOver, names } from "./cpu_time.js";
import { bytes, count, cpu, duration, isoTime, share, time } from "./format.js";

/** @typedef {import("./api.js").Request} Request */

/** @type {[string, string, string?][]} name, class, and what it is sorted by */
const COLUMNS = [
  ["Time", "", "start"], ["Service", ""], ["Route", ""], ["Status", ""], ["Duration", "number", "duration"],
  ["CPU", "number", "cpu"], ["Allocated", "number memory", "allocated"], ["CPU in the duration", "share"],
];

/**
 * A table that is filled row by row.
 *
 * A row's bar is as long as the request took, beside the longest of the table; its dark
 * part is the CPU time that was sampled. What is light was waiting, or not seen.
 */
export class RequestTable {
  /**
   * @param {object} [options]
   * @param {(request: Request) => string} [options.link] where a row leads
   * @param {string} [options.label]
   * @param {(sort: string) => void} [options.onSort] what sorts the rows; without, nothing can
   */
  constructor({ link = (request) => requestAddress(request.profile_id), label = "Requests", onSort } = {}) {
    this.link = link;
    /** @type {Map<string, {row: HTMLElement, request: Request}>} newest first, as shown */
    this.rows = new Map();
    this.body = h("tbody", { role: "rowgroup" });
    this.element = h("table", { class: "requests", role: "table", "aria-label": label },
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
   * Add below what is there.
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
   * Add above what is there.
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
   * Show anew what has changed in rows that are there.
   *
   * @param {Request[]} requests
   * @returns {Request[]} those that are not there
   */
  refresh(requests) {
    const unknown = requests.filter((request) => !this.rows.has(request.profile_id));
    for (const request of requests) {
      const entry = this.rows.get(request.profile_id);
      if (!entry || JSON.stringify(entry.request) === JSON.stringify(request)) continue;
      entry.request = request;
      // The link stays the same element: it may have the focus.
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
      h("td", { role: "cell", class: "number duration" }, duration(request.duration_ns)),
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
    // Where no memory is profiled, nobody looks for it.
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
function timeBar(request) {
  const part = Math.min(1, (request.cpu_ns ?? 0) / Math.max(1, request.duration_ns));
  const over = isOver(request);
  const called = names(request.cpu_from).share;
  const text = request.cpu_ns === null ? "no sample" : `${share(request.cpu_ns, request.duration_ns)} ${called}`;
  const why = over ? `${text}: more than its root span took. Its page says why` : text;
  return h("span", { class: `timebar${over ? " over" : ""}`, role: "img", "aria-label": why, title: why },
    h("span", { style: { "inline-size": `${100 * part}%` } }));
}
