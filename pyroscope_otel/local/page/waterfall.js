/** The spans of a trace as a tree beside their bars in time. */

import { requestAddress } from "./address.js";
import { copyButton, fill, h } from "./dom.js";
import { cpu, duration } from "./format.js";
import { extent, spanTree } from "./span_tree.js";

/** @typedef {import("./span_tree.js").Row} Row */

export class Waterfall {
  /**
   * @param {object} options
   * @param {import("./api.js").Span[]} options.spans
   * @param {{profile_id: string, cpu_ns: number | null}[]} options.profiles
   * @param {string} options.profileId of the request whose page this is
   * @param {(spanId: string) => void} options.onSelect
   */
  constructor({ spans, profiles, profileId, onSelect }) {
    this.rows = spanTree(spans);
    this.byId = new Map(this.rows.map((row) => [row.span.span_id, row]));
    this.services = new Set(spans.map((span) => span.service)).size;
    this.extent = extent(spans);
    this.cpu = new Map(profiles.map((profile) => [profile.profile_id, profile.cpu_ns]));
    this.profileId = profileId;
    this.onSelect = onSelect;
    this.selected = "";
    /** @type {Set<string>} */
    this.closed = new Set();
    /** @type {Map<string, HTMLElement>} */
    this.items = new Map();
    this.tree = h("ul", {
      class: "spans", role: "tree", "aria-label": "Spans of the trace",
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this.pressed(event) },
    }, this.rows.map((row) => this.item(row)));
    this.details = h("section", { class: "details", "aria-label": "Span" });
    this.element = h("div", { class: "waterfall" }, this.scale(), this.tree, this.details);
  }

  /** A few times along the top. */
  scale() {
    const whole = (this.extent.to - this.extent.from) * 1e6;
    return h("div", { class: "scale", "aria-hidden": "true" }, h("span"), h("span", { class: "ticks" },
      [0, 0.5, 1].map((part) => h("span", {}, part ? duration(whole * part) : "0"))));
  }

  /** @param {Row} row */
  item(row) {
    const { span } = row;
    const whole = this.extent.to - this.extent.from;
    const start = (100 * (span.start_ms - this.extent.from)) / whole;
    const width = (100 * Math.max(0, span.duration_ns)) / 1e6 / whole;
    const burnt = span.profile_id ? this.cpu.get(span.profile_id) ?? null : null;
    const failed = span.status === "error";
    const above = this.byId.get(row.parent ?? "");
    const namesService = this.services > 1 && above?.span.service !== span.service;
    const label = [
      span.name || "(no name)", span.service, `after ${duration((span.start_ms - this.extent.from) * 1e6)}`,
      `took ${duration(span.duration_ns)}`, burnt !== null && `${cpu(burnt)} CPU`, failed && "failed",
    ].filter(Boolean).join(", ");
    const item = h("li", {
      role: "treeitem", "aria-level": String(row.level), "aria-label": label, "aria-selected": "false",
      "aria-expanded": row.hasChildren ? "true" : null, tabindex: "-1", "data-span": span.span_id,
      class: span.profile_id === this.profileId ? "here" : null,
      on: { click: () => this.clicked(row) },
    },
      h("span", { class: "name", style: { "--level": String(Math.min(row.level - 1, 12)) } },
        h("span", { class: "twist", "aria-hidden": "true" }, row.hasChildren ? "▾" : ""),
        failed && h("span", { class: "failed", "aria-hidden": "true" }, "✕ "),
        h("span", { class: "text" }, span.name || "(no name)"),
        namesService && h("span", { class: "service" }, span.service)),
      h("span", { class: "track" },
        h("span", {
          class: `span-bar${span.profile_id ? " root" : ""}${failed ? " failed" : ""}${burnt !== null && burnt > span.duration_ns ? " over" : ""}`,
          style: { "inset-inline-start": `min(${start}%, 100% - 2px)`, "inline-size": `max(2px, ${width}%)` },
        },
          burnt !== null && h("span", { style: { "inline-size": `${Math.min(100, (100 * burnt) / Math.max(1, span.duration_ns))}%` } })),
        span.events.slice(0, 50).map((event) => h("span", {
          class: "event", title: event.name,
          style: { "inset-inline-start": `${start + event.offset_ns / 1e4 / whole}%` },
        })),
        h("span", tookPlace(start, width), duration(span.duration_ns))));
    this.items.set(span.span_id, item);
    return item;
  }

  /** @param {Row} row */
  clicked(row) {
    if (row.span.span_id === this.selected && row.hasChildren) this.toggle(row);
    this.choose(row.span.span_id, true);
  }

  /**
   * @param {string} spanId
   * @param {boolean} byReader
   */
  choose(spanId, byReader) {
    const row = this.byId.get(spanId) ?? this.rows[0];
    if (!row) return;
    const old = this.items.get(this.selected);
    old?.setAttribute("aria-selected", "false");
    old?.setAttribute("tabindex", "-1");
    this.selected = row.span.span_id;
    const item = /** @type {HTMLElement} */ (this.items.get(this.selected));
    item.setAttribute("aria-selected", "true");
    item.setAttribute("tabindex", "0");
    if (byReader) {
      item.focus({ preventScroll: true });
      item.scrollIntoView({ block: "nearest" });
      this.onSelect(this.selected);
    }
    this.showDetails(row);
  }

  /** @param {Row} row */
  toggle(row) {
    const id = row.span.span_id;
    if (this.closed.has(id)) this.closed.delete(id);
    else this.closed.add(id);
    /** @type {Set<string>} */
    const hidden = new Set();
    for (const each of this.rows) {
      const inside = each.parent !== null && (hidden.has(each.parent) || this.closed.has(each.parent));
      if (inside) hidden.add(each.span.span_id);
      const item = /** @type {HTMLElement} */ (this.items.get(each.span.span_id));
      item.hidden = inside;
      if (!each.hasChildren) continue;
      const closed = this.closed.has(each.span.span_id);
      item.setAttribute("aria-expanded", String(!closed));
      /** @type {HTMLElement} */ (item.querySelector(".twist")).textContent = closed ? "▸" : "▾";
    }
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shown = this.rows.filter((row) => !this.items.get(row.span.span_id)?.hidden);
    const at = shown.findIndex((row) => row.span.span_id === this.selected);
    const row = shown[at];
    if (!row) return;
    const closed = this.closed.has(row.span.span_id);
    let next = row;
    if (event.key === "ArrowDown") next = shown[at + 1] ?? row;
    else if (event.key === "ArrowUp") next = shown[at - 1] ?? row;
    else if (event.key === "Home") next = shown[0];
    else if (event.key === "End") next = shown[shown.length - 1];
    else if (event.key === "ArrowRight" && row.hasChildren && closed) this.toggle(row);
    else if (event.key === "ArrowRight" && row.hasChildren) next = shown[at + 1] ?? row;
    else if (event.key === "ArrowLeft" && row.hasChildren && !closed) this.toggle(row);
    else if (event.key === "ArrowLeft") next = shown.find((each) => each.span.span_id === row.parent) ?? row;
    else if (event.key === "Enter" && row.span.profile_id) location.hash = requestAddress(row.span.profile_id);
    else return;
    event.preventDefault();
    this.choose(next.span.span_id, true);
  }

  /** @param {Row} row */
  showDetails({ span }) {
    const burnt = span.profile_id ? this.cpu.get(span.profile_id) ?? null : null;
    fill(this.details,
      h("h3", {}, h("span", { class: "breakable" }, span.name || "(no name)"), " ", h("span", { class: "tag" }, span.kind)),
      h("dl", { class: "facts" },
        [["service", span.service], ["starts after", duration((span.start_ms - this.extent.from) * 1e6)], ["took", duration(span.duration_ns)],
          ["CPU time", span.profile_id ? (burnt === null ? "none" : cpu(burnt)) : null]]
          .filter(([, value]) => value !== null).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      span.status === "error" && h("p", { class: "failed" }, "✕ Failed", span.status_message && `: ${span.status_message}`),
      span.profile_id && span.profile_id !== this.profileId &&
        h("p", {}, h("a", { href: requestAddress(span.profile_id) }, "Open its flame graph")),
      span.events.length > 0 && h("details", { open: true }, h("summary", {}, "Events"),
        span.events.map((event) => [h("h4", {}, event.name, " ", h("span", { class: "quiet" }, `after ${duration(event.offset_ns)}`)), attributes(event.attributes)])),
      h("details", {}, h("summary", {}, "Attributes and ids"),
        attributes({ "span id": span.span_id, "parent span id": span.parent_span_id ?? "none", ...span.attributes }),
        copyButton(JSON.stringify(span, null, 2), "span as JSON")));
  }
}

/**
 * Where a bar's duration stands: after it, before it, or in it where neither has room.
 *
 * @param {number} start in percent of the track
 * @param {number} width
 */
function tookPlace(start, width) {
  const end = start + width;
  if (end <= 72) return { class: "took", style: { "inset-inline-start": `${end}%` } };
  if (start > 28) return { class: "took", style: { "inset-inline-end": `${100 - start}%` } };
  return { class: "took inside", style: { "inset-inline-end": `${100 - end}%` } };
}

/** @param {Record<string, any>} values */
function attributes(values) {
  const entries = Object.entries(values);
  if (!entries.length) return null;
  return h("dl", { class: "attributes" }, entries.map(([name, value]) =>
    [h("dt", {}, name), h("dd", {}, typeof value === "string" ? value : JSON.stringify(value))]));
}
