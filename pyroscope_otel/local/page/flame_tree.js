/**
 * The frames of a flame graph as a tree, and what can be worked out on it.
 *
 * @typedef {object} Frame
 * @property {string} name
 * @property {string} file
 * @property {number} line
 * @property {boolean} own code of the application, not of a library
 * @property {string} folds of a frame that stands for folded ones: their names and files; else ""
 * @property {number} total what its width shows; of a difference, both sides together
 * @property {number} self the part of it that no child has
 * @property {Side | null} left of a difference only
 * @property {Side | null} right of a difference only
 * @property {Frame[]} children
 *
 * @typedef {{total: number, self: number}} Side
 */

/**
 * @param {any} node of the API's flame graph
 * @param {import("./measures.js").Measure} measure
 * @returns {Frame}
 */
export function fromProfile(node, measure) {
  const { suffix } = measure;
  return {
    name: node.name, file: node.file, line: node.line, own: node.own, folds: "",
    total: node[`total_${suffix}`], self: node[`self_${suffix}`], left: null, right: null,
    children: node.children.map((/** @type {any} */ child) => fromProfile(child, measure)),
  };
}

/**
 * @param {any} node of the API's difference
 * @param {import("./measures.js").Measure} measure
 * @returns {Frame}
 */
export function fromDifference(node, measure) {
  const { suffix } = measure;
  const left = { total: node[`left_${suffix}`], self: node[`left_self_${suffix}`] };
  const right = { total: node[`right_${suffix}`], self: node[`right_self_${suffix}`] };
  return {
    name: node.name, file: node.file, line: node.line, own: node.own, folds: "",
    total: left.total + right.total, self: left.self + right.self, left, right,
    children: node.children.map((/** @type {any} */ child) => fromDifference(child, measure)),
  };
}

/**
 * The tree with each run of library frames that leads to own code in one frame. Web
 * frameworks put 20 frames above a handler; what the handler itself calls stays as it is.
 *
 * @param {Frame} root
 * @returns {Frame}
 */
export function foldFrameworks(root) {
  /** @type {Set<Frame>} library frames with own code below */
  const leading = new Set();
  /** @param {Frame} frame @returns {boolean} */
  const leads = (frame) => {
    let below = false;
    for (const child of frame.children) below = leads(child) || below;
    if (below && !frame.own) leading.add(frame);
    return below || frame.own;
  };
  leads(root);
  return { ...root, children: foldBelow([root], leading) };
}

/**
 * What is below some frames that are one after folding.
 *
 * @param {Frame[]} frames
 * @param {Set<Frame>} leading
 * @returns {Frame[]}
 */
function foldBelow(frames, leading) {
  const run = frames.flatMap((frame) => frame.children).filter((child) => leading.has(child));
  const rest = together(frames.flatMap((frame) => frame.children).filter((child) => !leading.has(child)));
  const folded = rest.map((same) => merge(same, foldBelow(same, leading)));
  return run.length ? [foldRun(run, leading), ...folded] : folded;
}

/**
 * One frame for leading frames and the leading frames below them.
 *
 * @param {Frame[]} tops
 * @param {Set<Frame>} leading
 * @returns {Frame}
 */
function foldRun(tops, leading) {
  /** @type {Frame[]} */
  const run = [];
  /** @type {Frame[]} */
  const below = [];
  const waiting = [...tops].reverse();
  for (let frame = waiting.pop(); frame; frame = waiting.pop()) {
    run.push(frame);
    for (const child of frame.children) (leading.has(child) ? waiting : below).push(child);
  }
  const names = [...new Set(run.map((frame) => packageOf(frame.file)))].filter(Boolean);
  const merged = merge(tops, together(below).map((same) => merge(same, foldBelow(same, leading))));
  /** @param {"left" | "right"} side */
  const part = (side) => merged[side] && { total: merged[side].total, self: sum(run, (frame) => frame[side]?.self ?? 0) };
  return {
    ...merged,
    name: `⋯ ${names.slice(0, 4).join(", ")}${names.length > 4 ? ", …" : ""}`,
    file: names.join(", "),
    line: 0,
    folds: run.map((frame) => `${frame.name}\n${frame.file}`).join("\n"),
    self: sum(run, (frame) => frame.self),
    left: part("left"),
    right: part("right"),
  };
}

/**
 * Frames in groups of equal ones, by name.
 *
 * @param {Frame[]} frames
 * @returns {Frame[][]}
 */
function together(frames) {
  /** @type {Map<string, Frame[]>} */
  const groups = new Map();
  for (const frame of frames) {
    const group = groups.get(identity(frame));
    if (group) group.push(frame);
    else groups.set(identity(frame), [frame]);
  }
  return [...groups.values()].sort((a, b) => (a[0].name < b[0].name ? -1 : a[0].name > b[0].name ? 1 : 0));
}

/**
 * @param {Frame[]} frames equal but for their times
 * @param {Frame[]} children
 * @returns {Frame}
 */
function merge(frames, children) {
  const [first] = frames;
  /** @param {"left" | "right"} side */
  const both = (side) => first[side] && {
    total: sum(frames, (frame) => frame[side]?.total ?? 0),
    self: sum(frames, (frame) => frame[side]?.self ?? 0),
  };
  return {
    ...first,
    total: sum(frames, (frame) => frame.total), self: sum(frames, (frame) => frame.self),
    left: both("left"), right: both("right"), children,
  };
}

/** @param {Frame} frame */
export function identity(frame) {
  return `${frame.name}\0${frame.file}`;
}

/**
 * The name of the package that an installed file belongs to, or "python" for the standard library.
 *
 * @param {string} file
 */
function packageOf(file) {
  const installed = /[/\\](?:site|dist)-packages[/\\]([^/\\]+)/.exec(file);
  if (installed) return installed[1].replace(/\.py$/, "");
  return file ? "python" : "";
}

/**
 * The functions of a tree, the one with the most time of its own first. A function that
 * calls itself counts once.
 *
 * @param {Frame} root not itself a function
 * @returns {Frame[]} without children
 */
export function functions(root) {
  /** @type {Map<string, Frame>} */
  const found = new Map();
  /** @param {Frame} frame @param {Set<string>} above */
  const visit = (frame, above) => {
    const key = identity(frame);
    const outermost = !above.has(key);
    let entry = found.get(key);
    if (!entry) {
      entry = { ...frame, total: 0, self: 0, left: frame.left && { total: 0, self: 0 }, right: frame.right && { total: 0, self: 0 }, children: [] };
      found.set(key, entry);
    }
    entry.self += frame.self;
    if (outermost) entry.total += frame.total;
    for (const side of /** @type {const} */ (["left", "right"])) {
      const times = entry[side];
      if (!times) continue;
      times.self += frame[side]?.self ?? 0;
      if (outermost) times.total += frame[side]?.total ?? 0;
    }
    if (outermost) above.add(key);
    for (const child of frame.children) visit(child, above);
    if (outermost) above.delete(key);
  };
  for (const child of root.children) visit(child, new Set());
  return [...found.values()].sort((a, b) => b.self - a.self || b.total - a.total);
}

/**
 * How much more the left side of a difference has.
 *
 * @param {Frame} frame
 */
export function more(frame) {
  return (frame.left?.total ?? 0) - (frame.right?.total ?? 0);
}

/**
 * @template T
 * @param {T[]} items
 * @param {(item: T) => number} value
 */
function sum(items, value) {
  let total = 0;
  for (const item of items) total += value(item);
  return total;
}
