/** The spans of a trace as a tree, beside their bars on a timeline. */

import { requestAddress } from "./address.js";
import { copyButton, fill, h } from "./dom.js";
import { cpu, duration } from "./format.js";
import { extent, spanTree, statement } from "./span_tree.js";

/** @typedef {import("./span_tree.js").Row} Row */

export class Waterfall {
  /**
   * @param {object} options
   * @param {import("./api.js").Span[]} options.spans
   * @param {{profile_id: string, cpu_ns: number | null, held_ns: number | null}[]} options.profiles
   * @param {string} options.profileId of the request on this page
   * @param {(spanId: string) => void} options.onSelect
   */
  constructor({ spans, profiles, profileId, onSelect }) {
    this.rows = spanTree(spans);
    this.byId = new Map(this.rows.map((row) => [row.id, row]));
    this.services = new Set(spans.map((span) => span.service)).size;
    /** @type {Map<string | null, number | null>} how long each local root was held, by profile id */
    this.held = new Map(profiles.map((profile) => [profile.profile_id, profile.held_ns]));
    this.extent = extent(spans, this.held);
    this.cpu = new Map(profiles.map((profile) => [profile.profile_id, profile.cpu_ns]));
    this.profileId = profileId;
    this.onSelect = onSelect;
    this.selected = "";
    /** @type {Set<string>} groups are closed at first */
    this.closed = new Set(this.rows.filter((row) => row.group).map((row) => row.id));
    /** @type {Map<string, HTMLElement>} */
    this.items = new Map();
    this.tree = h("ul", {
      class: "spans", role: "tree", "aria-label": "Spans of the trace",
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this.pressed(event) },
    }, this.rows.map((row) => this.item(row)));
    this.details = h("section", { class: "details", "aria-label": "Span" });
    this.hide();
    this.element = h("div", { class: "waterfall" }, this.scale(), this.tree, this.details);
  }

  /** The time scale along the top. */
  scale() {
    const whole = (this.extent.to - this.extent.from) * 1e6;
    return h("div", { class: "scale", "aria-hidden": "true" }, h("span"), h("span", { class: "ticks" },
      [0, 0.5, 1].map((part) => h("span", {}, part ? duration(whole * part) : "0"))), h("span", { class: "took" }));
  }

  /** @param {Row} row */
  item(row) {
    const { span, group } = row;
    const whole = this.extent.to - this.extent.from;
    const spans = group?.spans ?? [span];
    const burnt = !group && span.profile_id ? this.cpu.get(span.profile_id) ?? null : null;
    const held = group ? null : this.held.get(span.profile_id) ?? null;
    const failed = spans.some((each) => each.status === "error");
    const above = this.byId.get(row.parent ?? "");
    const namesService = this.services > 1 && above?.span.service !== span.service;
    const total = group?.total_ns ?? span.duration_ns;
    const label = [
      span.name || "(no name)", group && `${group.spans.length} times`, span.service,
      `after ${duration((span.start_ms - this.extent.from) * 1e6)}`, `took ${duration(total)}${group ? " together" : ""}`,
      held !== null && `held for ${duration(held)}`, burnt !== null && `${cpu(burnt)} CPU`, failed && "failed",
    ].filter(Boolean).join(", ");
    const text = statement(span);
    const item = h("li", {
      role: "treeitem", "aria-level": String(row.level), "aria-label": label, "aria-selected": "false",
      "aria-expanded": row.hasChildren ? String(!group) : null, tabindex: "-1", "data-span": row.id,
      class: span.profile_id === this.profileId && !group ? "here" : null,
      on: { click: () => this.clicked(row) },
    },
      h("span", { class: "name", style: { "--level": String(Math.min(row.level - 1, 12)) } },
        h("span", { class: "twist", "aria-hidden": "true" }, row.hasChildren ? (group ? "▸" : "▾") : ""),
        failed && h("span", { class: "failed", "aria-hidden": "true" }, "✕ "),
        h("span", { class: "text", title: text || null }, span.name || "(no name)"),
        group && h("b", { class: "times" }, `× ${group.spans.length}`),
        namesService && h("span", { class: "service" }, span.service)),
      h("span", { class: "track" }, spans.map((each) => this.bar(each, whole, burnt))),
      h("span", { class: "took" }, duration(total)));
    this.items.set(row.id, item);
    return item;
  }

  /** @param {import("./api.js").Span} span @param {number} whole @param {number | null} burnt */
  bar(span, whole, burnt) {
    const start = (100 * (span.start_ms - this.extent.from)) / whole;
    const held = this.held.get(span.profile_id) ?? null;
    const took = Math.max(1, held ?? span.duration_ns);
    const width = took / 1e4 / whole;
    const kinds = [span.profile_id && "root", span.status === "error" && "failed", burnt !== null && burnt > took && "over", held !== null && "held"];
    return [
      h("span", {
        class: ["span-bar", ...kinds].filter(Boolean).join(" "),
        style: { "inset-inline-start": `min(${start}%, 100% - 2px)`, "inline-size": `max(2px, ${width}%)` },
      },
        held !== null && h("span", { class: "span", style: { "inline-size": `${(100 * span.duration_ns) / held}%` } }),
        burnt !== null && h("span", { class: "burnt", style: { "inline-size": `${Math.min(100, (100 * burnt) / took)}%` } })),
      span.events.slice(0, 50).map((event) => h("span", {
        class: "event", title: event.name,
        style: { "inset-inline-start": `${start + event.offset_ns / 1e4 / whole}%` },
      })),
    ];
  }

  /** @param {Row} row */
  clicked(row) {
    if (row.hasChildren && (row.group || row.id === this.selected)) this.toggle(row);
    this.choose(row.id, true);
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
    this.selected = row.id;
    const item = /** @type {HTMLElement} */ (this.items.get(this.selected));
    item.setAttribute("aria-selected", "true");
    item.setAttribute("tabindex", "0");
    if (item.hidden) {
      // The address may choose a span inside a closed row.
      for (let each = row.parent; each; each = this.byId.get(each)?.parent ?? null) this.closed.delete(each);
      this.hide();
    }
    if (byReader) {
      item.focus({ preventScroll: true });
      item.scrollIntoView({ block: "nearest" });
      this.onSelect(this.selected);
    }
    this.showDetails(row);
  }

  /** @param {Row} row */
  toggle(row) {
    const { id } = row;
    if (this.closed.has(id)) this.closed.delete(id);
    else this.closed.add(id);
    this.hide();
  }

  /** Hide the rows below closed rows. */
  hide() {
    /** @type {Set<string>} */
    const hidden = new Set();
    for (const each of this.rows) {
      const inside = each.parent !== null && (hidden.has(each.parent) || this.closed.has(each.parent));
      if (inside) hidden.add(each.id);
      const item = /** @type {HTMLElement} */ (this.items.get(each.id));
      item.hidden = inside;
      if (!each.hasChildren) continue;
      const closed = this.closed.has(each.id);
      item.setAttribute("aria-expanded", String(!closed));
      /** @type {HTMLElement} */ (item.querySelector(".twist")).textContent = closed ? "▸" : "▾";
    }
  }

  /** The rows that are not inside closed ones. */
  shown() {
    return this.rows.filter((row) => !this.items.get(row.id)?.hidden);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shown = this.shown();
    const at = shown.findIndex((row) => row.id === this.selected);
    const row = shown[at];
    if (!row) return;
    const closed = this.closed.has(row.id);
    let next = row;
    if (event.key === "ArrowDown") next = shown[at + 1] ?? row;
    else if (event.key === "ArrowUp") next = shown[at - 1] ?? row;
    else if (event.key === "Home") next = shown[0];
    else if (event.key === "End") next = shown[shown.length - 1];
    else if (event.key === "ArrowRight" && row.hasChildren && closed) this.toggle(row);
    else if (event.key === "ArrowRight" && row.hasChildren) next = shown[at + 1] ?? row;
    else if (event.key === "ArrowLeft" && row.hasChildren && !closed) this.toggle(row);
    else if (event.key === "ArrowLeft") next = shown.find((each) => each.id === row.parent) ?? row;
    else if (event.key === "Enter" && row.group) this.toggle(row);
    else if (event.key === "Enter" && row.span.profile_id) location.hash = requestAddress(row.span.profile_id);
    else return;
    event.preventDefault();
    this.choose(next.id, true);
  }

  /** @param {Row} row */
  showDetails({ span, group }) {
    if (group) {
      const durations = group.spans.map((each) => each.duration_ns);
      fill(this.details,
        h("h3", {}, h("span", { class: "breakable" }, span.name || "(no name)"), ` × ${group.spans.length} `, h("span", { class: "tag" }, span.kind)),
        h("dl", { class: "facts" },
          [["together", duration(group.total_ns)], ["each", duration(group.total_ns / group.spans.length)], ["longest", duration(Math.max(...durations))],
            ["failed", group.spans.filter((each) => each.status === "error").length || null]]
            .filter(([, value]) => value !== null).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
        statement(span) && h("pre", { class: "statement", tabindex: "0" }, h("code", {}, statement(span))));
      return;
    }
    const burnt = span.profile_id ? this.cpu.get(span.profile_id) ?? null : null;
    const held = this.held.get(span.profile_id) ?? null;
    fill(this.details,
      h("h3", {}, h("span", { class: "breakable" }, span.name || "(no name)"), " ", h("span", { class: "tag" }, span.kind)),
      h("dl", { class: "facts" },
        [["service", span.service], ["starts after", duration((span.start_ms - this.extent.from) * 1e6)], ["took", duration(span.duration_ns)], ["held for", held === null ? null : duration(held)],
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

/** @param {Record<string, any>} values */
function attributes(values) {
  const entries = Object.entries(values);
  if (!entries.length) return null;
  return h("dl", { class: "attributes" }, entries.map(([name, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      // A traceback needs the full width.
      const long = text.includes("\n");
      return [h("dt", { class: long ? "long" : null }, name), h("dd", { class: long ? "long" : null, tabindex: long ? "0" : null }, text)];
    }));
}
