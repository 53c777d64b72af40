/**
 * Orders the spans of a trace as a tree.
 *
 * Received spans may lack parents, share ids or form cycles. Every span appears exactly once.
 *
 * Many equal siblings, such as a query for each item of a list, form a group, which has a row of
 * its own above theirs.
 *
 * @typedef {object} Row
 * @property {string} id the span's, or the group's
 * @property {import("./api.js").Span} span
 * @property {number} level from 1
 * @property {boolean} hasChildren
 * @property {string | null} parent the id of the row above it in the tree
 * @property {Group | null} group
 *
 * @typedef {object} Group
 * @property {import("./api.js").Span[]} spans in the order of their starts
 * @property {number} total_ns the sum of their durations
 */

const REPEATED = 5; // siblings that make a group

/**
 * @param {import("./api.js").Span[]} spans
 * @returns {Row[]}
 */
export function spanTree(spans) {
  const byStart = [...spans].sort((a, b) => a.start_ms - b.start_ms);
  const known = new Set(byStart.map((span) => span.span_id));
  /** @type {Map<string, import("./api.js").Span[]>} */
  const children = new Map();
  /** @type {import("./api.js").Span[]} */
  const roots = [];
  for (const span of byStart) {
    const parent = span.parent_span_id;
    if (parent && parent !== span.span_id && known.has(parent)) children.set(parent, [...(children.get(parent) ?? []), span]);
    else roots.push(span);
  }
  /** @type {Row[]} */
  const rows = [];
  const seen = new Set();
  /** @param {import("./api.js").Span} root */
  const walk = (root) => {
    /** @type {Omit<Row, "hasChildren">[]} */
    const waiting = [{ id: root.span_id, span: root, level: 1, parent: null, group: null }];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { id, span, level, group } = next;
      if (group) {
        rows.push({ ...next, hasChildren: true });
        for (const each of [...group.spans].reverse()) waiting.push({ id: each.span_id, span: each, level: level + 1, parent: id, group: null });
        continue;
      }
      if (seen.has(span)) continue;
      seen.add(span);
      const below = (children.get(id) ?? []).filter((child) => !seen.has(child));
      rows.push({ ...next, hasChildren: below.length > 0 });
      waiting.push(...entries(below, id, level + 1).reverse());
    }
  };
  roots.forEach(walk);
  byStart.forEach((span) => { if (!seen.has(span)) walk(span); }); // in circles
  return rows;
}

/**
 * Siblings, with equal ones in groups. A group is at the position of its first span.
 *
 * @param {import("./api.js").Span[]} spans
 * @param {string} parent
 * @param {number} level
 * @returns {Omit<Row, "hasChildren">[]}
 */
function entries(spans, parent, level) {
  /** @type {Map<string, import("./api.js").Span[]>} */
  const alike = new Map();
  for (const span of spans) {
    const same = alike.get(work(span));
    if (same) same.push(span);
    else alike.set(work(span), [span]);
  }
  /** @type {Omit<Row, "hasChildren">[]} */
  const found = [];
  for (const span of spans) {
    const same = alike.get(work(span)) ?? [];
    if (same.length < REPEATED) found.push({ id: span.span_id, span, level, parent, group: null });
    else if (same[0] === span) {
      const total_ns = same.reduce((sum, each) => sum + each.duration_ns, 0);
      found.push({ id: `group ${span.span_id}`, span, level, parent, group: { spans: same, total_ns } });
    }
  }
  return found;
}

/** The work of a span: its name, and the statement of a query. @param {import("./api.js").Span} span */
function work(span) {
  return JSON.stringify([span.service, span.kind, span.name, statement(span)]);
}

/**
 * The statement of a query, from the newer or the older attribute.
 *
 * @param {import("./api.js").Span} span
 * @returns {string}
 */
export function statement(span) {
  const text = span.attributes?.["db.query.text"] ?? span.attributes?.["db.statement"];
  return typeof text === "string" ? text : "";
}

/**
 * The start and end of a trace, in ms since the epoch.
 *
 * @param {import("./api.js").Span[]} spans
 * @param {Map<string | null, number | null>} held how long local roots were held, by profile id
 */
export function extent(spans, held) {
  let from = Infinity;
  let to = -Infinity;
  for (const span of spans) {
    from = Math.min(from, span.start_ms);
    to = Math.max(to, span.start_ms + Math.max(0, span.duration_ns, held.get(span.profile_id) ?? 0) / 1e6);
  }
  return { from, to: Math.max(to, from + 0.001) };
}
