/**
 * The spans of a trace in the order of their tree.
 *
 * What was received may lack parents, name a parent twice or go in circles; every span
 * comes out once.
 *
 * @typedef {object} Row
 * @property {import("./api.js").Span} span
 * @property {number} level from 1
 * @property {boolean} hasChildren
 * @property {string | null} parent the span id of the row above it in the tree
 */

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
    /** @type {[import("./api.js").Span, number, string | null][]} */
    const waiting = [[root, 1, null]];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [span, level, parent] = next;
      if (seen.has(span)) continue;
      seen.add(span);
      const below = (children.get(span.span_id) ?? []).filter((child) => !seen.has(child));
      rows.push({ span, level, parent, hasChildren: below.length > 0 });
      for (const child of below.reverse()) waiting.push([child, level + 1, span.span_id]);
    }
  };
  roots.forEach(walk);
  byStart.forEach((span) => { if (!seen.has(span)) walk(span); }); // in circles
  return rows;
}

/**
 * From when to when a trace goes, in ms since the epoch.
 *
 * @param {import("./api.js").Span[]} spans
 */
export function extent(spans) {
  let from = Infinity;
  let to = -Infinity;
  for (const span of spans) {
    from = Math.min(from, span.start_ms);
    to = Math.max(to, span.start_ms + Math.max(0, span.duration_ns) / 1e6);
  }
  return { from, to: Math.max(to, from + 0.001) };
}
