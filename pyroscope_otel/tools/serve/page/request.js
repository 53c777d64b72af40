/** The page of a request: the waterfall of its trace, and the flame graph of each local root. */

import { ask, askSource } from "./api.js";
import { differenceAddress, parse, requestAddress, routeAddress } from "./address.js";
import { copyButton, fill, h, menu } from "./dom.js";
import { withoutMemory, withoutSamples } from "./empty.js";
import { fromProfile } from "./flame_tree.js";
import { about, misfit, names, ranAtLeast, whole } from "./cpu_time.js";
import { htmlFile, save } from "./html_file.js";
import { bytes, count, cpu, duration, isoTime, share, time } from "./format.js";
import { CPU } from "./measures.js";
import { ProfilePanel } from "./profile_panel.js";
import { statusMark } from "./request_table.js";
import { Waterfall } from "./waterfall.js";

/**
 * @param {import("./address.js").Place} place
 * @param {import("./main.js").Surroundings} around
 * @returns {Promise<import("./main.js").Page>}
 */
export async function openRequest(place, around) {
  const page = new RequestPage(place, around);
  await page.load();
  return {
    title: `${page.trace.request.route}, ${time(page.trace.request.start_ms)}`,
    update: (next) => page.apply(next.params),
    changed: () => page.changed(),
  };
}

const FEW = 6; // rows of a trace that need no column of their own beside the flame graph

class RequestPage {
  /**
   * @param {import("./address.js").Place} place
   * @param {import("./main.js").Surroundings} around
   */
  constructor(place, around) {
    this.id = place.id;
    this.around = around;
    this.asking = false;
    /** @type {any} */
    this.trace = null;
    /** @type {ProfilePanel | null} */
    this.panel = null;
    /** @type {any} */
    this.waterfall = null;
  }

  async load() {
    const { signal } = this.around;
    const params = parse(location.hash).params;
    const panel = new ProfilePanel({
      title: "Flame graph", name: "this request", around: this.around,
      ask: (measure) => ask("flamegraph", { profile_id: this.id, type: measure.type }, signal),
      tree: fromProfile,
      source: (frame, measure) => askSource(frame, measure, { profile_id: this.id }, signal),
      below: (measure) => about(measure, this.from()),
      above: () => this.tabs(),
      missing: (measure) => (measure === CPU
        ? withoutSamples(this.trace.request, this.from(), Date.now()) : withoutMemory(this.trace.profiler.memory)),
    });
    const trace = await ask(`requests/${this.id}`, {}, signal);
    this.trace = trace;
    panel.name = trace.request.route;
    await panel.load(params);
    if (signal.aborted) return;
    this.panel = panel;
    this.waterfall = new Waterfall({
      spans: trace.spans, profiles: trace.profiles, profileId: this.id,
      onSelect: (span) => this.around.setView({ span }),
    });
    this.notice = h("div", { "aria-live": "polite" });
    fill(this.around.main, this.head(), this.misfit(), this.notice,
      h("div", { class: this.waterfall.shown().length <= FEW ? "stacked" : "beside" },
        h("section", { class: "panel", "aria-labelledby": "trace-title" },
          h("h2", { id: "trace-title" }, "Trace ", h("span", { class: "quiet" }, count(trace.spans.length, "span"))),
          trace.truncated && h("p", { class: "notice" }, "The trace has more spans than are shown here."),
          this.waterfall.element),
        panel.element));
    this.chooseSpan(params);
  }

  /** @param {URLSearchParams} params */
  async apply(params) {
    this.chooseSpan(params);
    await this.panel?.apply(params);
  }

  /** @param {URLSearchParams} params */
  chooseSpan(params) {
    const here = this.trace.spans.find((/** @type {any} */ span) => span.profile_id === this.id);
    const span = params.get("span") ?? here?.span_id ?? "";
    if (this.waterfall && span !== this.waterfall.selected) this.waterfall.choose(span, false);
  }

  head() {
    const request = /** @type {import("./api.js").Request} */ (this.trace.request);
    const called = names(this.from());
    const least = ranAtLeast(request);
    return h("header", { class: "head" },
      h("div", { class: "what" },
        h("h1", { class: "breakable" }, request.route),
        h("p", { class: "lead" }, h("span", { class: "service" }, request.service), h("span", { class: "dot" }, "·"),
          h("time", { datetime: isoTime(request.start_ms) }, time(request.start_ms)), h("span", { class: "dot" }, "·"),
          statusMark(request.status === "error", request.http_status))),
      h("dl", { class: "numbers" },
        [["duration", duration(request.duration_ns)],
          ...(request.held_ns === null ? [] : [["held for", duration(request.held_ns)]]),
          ...(least === null ? [] : [["went on for", `≥ ${duration(least)}`]]),
          [called.time, request.cpu_ns === null ? "none" : cpu(request.cpu_ns)],
          [called.share, request.cpu_ns === null ? "–" : share(request.cpu_ns, whole(request))],
          ...(request.alloc_bytes === null ? [] : [["allocated", bytes(request.alloc_bytes)]])]
          .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("nav", { class: "actions", "aria-label": "This request" },
        h("a", { class: "button", href: differenceAddress(this.id, "route") }, "Against the usual"),
        h("a", { class: "button", href: differenceAddress(this.id) }, "Against another"),
        h("a", { class: "button", href: routeAddress(request.service, request.route) }, "Whole route"),
        menu("Save",
          h("button", { type: "button", on: { click: () => this.saveFile() } }, "Page as HTML"),
          request.cpu_ns !== null && h("a", { class: "button", href: `/api/profiles/${this.id}.pprof`, download: true }, "CPU as pprof"),
          request.alloc_bytes !== null && h("a", { class: "button", href: `/api/profiles/${this.id}.pprof?type=alloc_space`, download: true }, "Memory as pprof"))),
      h("p", { class: "ids" }, "trace ", h("code", {}, request.trace_id), copyButton(request.trace_id, "trace id"),
        " profile ", h("code", {}, request.profile_id), copyButton(request.profile_id, "profile id")));
  }

  async saveFile() {
    const { main } = this.around;
    const blob = await htmlFile({
      title: `${this.trace.request.route}, ${time(this.trace.request.start_ms)}`,
      head: /** @type {Element} */ (main.querySelector(".head")),
      notice: main.querySelector("aside[data-finding]"),
      trace: this.waterfall.element,
      view: this.panel?.view ?? null,
    });
    save(blob, `request-${this.id}.html`);
  }

  /** How the CPU time of this request was measured, or without samples that of its service. */
  from() {
    return this.trace.request.cpu_from ?? this.trace.profiler.cpu_from;
  }

  /** If the CPU time does not fit the duration, a notice above everything says so. */
  misfit() {
    const found = misfit(this.trace.request, this.trace.spans, this.from());
    const text = found?.text.map((each) => h("p", {}, each));
    // An odd mismatch is shown in full. A common one, such as waiting, is collapsed to a line.
    return found && h("aside", { class: "notice", "data-finding": found.id },
      found.id === "over" ? [h("h2", {}, found.title), text] : h("details", {}, h("summary", {}, found.title), text));
  }

  /** The local roots of the trace: other services, or other threads of work. */
  tabs() {
    if (this.trace.profiles.length < 2) return null;
    return h("nav", { class: "tabs", "aria-label": "Local roots of this trace" }, this.trace.profiles.map((/** @type {any} */ profile) =>
      h("a", { href: requestAddress(profile.profile_id), "aria-current": profile.profile_id === this.id ? "page" : null },
        h("span", { class: "clamped" },
          h("span", { class: "route" }, profile.route), " ",
          h("span", { class: "quiet" }, `${profile.service}, ${profile.cpu_ns === null ? "no sample" : cpu(profile.cpu_ns)}`)))));
  }

  /** Check for new data of this request: its samples arrive after its spans. */
  async changed() {
    if (this.asking) return;
    this.asking = true;
    try {
      const trace = await ask(`requests/${this.id}`, {}, this.around.signal);
      if (this.around.signal.aborted || same(trace, this.trace)) return;
      if (this.panel?.view) {
        // Do not replace the graph while the reader looks at it.
        fill(this.notice, h("p", { class: "notice" }, "New data of this request has arrived. ",
          h("button", { type: "button", on: { click: () => this.load() } }, "Show it")));
      } else await this.load();
    } catch (error) {
      if (!this.around.signal.aborted) console.info("The request could not be brought up to date:", error);
    } finally {
      this.asking = false;
    }
  }
}

/** @param {any} a @param {any} b */
function same(a, b) {
  return a.spans.length === b.spans.length && JSON.stringify(a.profiles) === JSON.stringify(b.profiles);
}
