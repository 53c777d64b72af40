/**
 * The frames of a flame graph as a tree, and functions over it.
 *
 * @typedef {object} Frame
 * @property {string} name
 * @property {string} file
 * @property {number} line
 * @property {boolean} own code of the application, not of a library
 * @property {Fold | null} fold of a frame that replaces others
 * @property {string} folds the names and files of the folded frames, or ""
 * @property {string} openedBy the key of the open fold that contains it, or ""
 * @property {number} total its width; in a difference, the sum of both sides
 * @property {number} self the part of the total outside its children
 * @property {Side | null} left of a difference only
 * @property {Side | null} right of a difference only
 * @property {Frame[]} children
 *
 * @typedef {{total: number, self: number}} Side
 * @typedef {{key: string, count: number, packages: string[]}} Fold without packages: a function
 *   that calls itself
 */

/**
 * @param {any} node of the API's flame graph
 * @param {import("./measures.js").Measure} measure
 * @returns {Frame}
 */
export function fromProfile(node, measure) {
  const { suffix } = measure;
  return {
    name: node.name, file: node.file, line: node.line, own: node.own, fold: null, folds: "", openedBy: "",
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
    name: node.name, file: node.file, line: node.line, own: node.own, fold: null, folds: "", openedBy: "",
    total: left.total + right.total, self: left.self + right.self, left, right,
    children: node.children.map((/** @type {any} */ child) => fromDifference(child, measure)),
  };
}

/**
 * Group equal frames, sorted by name.
 *
 * @param {Frame[]} frames
 * @returns {Frame[][]}
 */
export function together(frames) {
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
 * @param {Frame[]} frames equal except for their values
 * @param {Frame[]} children
 * @returns {Frame}
 */
export function merge(frames, children) {
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
 * The package of an installed file, or "python" for the standard library.
 *
 * @param {string} file
 */
export function packageOf(file) {
  const installed = /[/\\](?:site|dist)-packages[/\\]([^/\\]+)/.exec(file);
  if (installed) return installed[1].replace(/\.py$/, "");
  return file ? "python" : "";
}

/**
 * The functions of a tree, highest self value first. A recursive function counts once.
 *
 * @param {Frame} root not itself a function
 * @param {boolean} libraries false: count libraries as part of their callers
 * @returns {Frame[]} without children
 */
export function functions(root, libraries) {
  /** @type {Map<string, Frame>} */
  const found = new Map();
  /** @param {Frame} frame */
  const entryOf = (frame) => {
    const key = identity(frame);
    let entry = found.get(key);
    if (!entry) {
      entry = { ...frame, total: 0, self: 0, left: frame.left && { total: 0, self: 0 }, right: frame.right && { total: 0, self: 0 }, children: [] };
      found.set(key, entry);
    }
    return entry;
  };
  /** @param {Frame} frame @param {Set<string>} above @param {Frame | null} caller the own one */
  const visit = (frame, above, caller) => {
    const key = identity(frame);
    const outermost = !above.has(key);
    const absorbed = !libraries && !frame.own && caller;
    const entry = absorbed || entryOf(frame);
    entry.self += frame.self;
    if (outermost && !absorbed) entry.total += frame.total;
    for (const side of /** @type {const} */ (["left", "right"])) {
      const times = entry[side];
      if (!times) continue;
      times.self += frame[side]?.self ?? 0;
      if (outermost && !absorbed) times.total += frame[side]?.total ?? 0;
    }
    if (outermost) above.add(key);
    for (const child of frame.children) visit(child, above, frame.own ? entry : caller);
    if (outermost) above.delete(key);
  };
  for (const child of root.children) visit(child, new Set(), null);
  return [...found.values()].sort((a, b) => b.self - a.self || b.total - a.total);
}

/**
 * The callees and callers of a function, merged over its outermost calls.
 *
 * @param {Frame} root
 * @param {string} wanted its identity
 * @returns {{callees: Frame, callers: Frame} | null} null: it is not in the tree
 */
export function sandwich(root, wanted) {
  /** @type {Frame[]} */
  const calls = [];
  /** @type {Frame[]} the callers of each call as a chain, nearest first */
  const chains = [];
  /** @param {Frame} frame @param {Frame[]} above */
  const visit = (frame, above) => {
    if (identity(frame) === wanted) {
      calls.push(frame);
      let chain = /** @type {Frame[]} */ ([]);
      for (const caller of above) {
        chain = [{ ...caller, total: frame.total, self: chain.length ? 0 : frame.total, left: whole(frame.left, !chain.length), right: whole(frame.right, !chain.length), children: chain }];
      }
      chains.push({ ...frame, self: chain.length ? 0 : frame.total, children: chain });
      return;
    }
    above.push(frame);
    for (const child of frame.children) visit(child, above);
    above.pop();
  };
  for (const child of root.children) visit(child, []);
  if (!calls.length) return null;
  return { callees: joined(calls), callers: joined(chains) };
}

/** @param {Side | null} side @param {boolean} isSelf @returns {Side | null} */
function whole(side, isSelf) {
  return side && { total: side.total, self: isSelf ? side.total : 0 };
}

/** Merge equal frames, recursively. @param {Frame[]} frames @returns {Frame} */
function joined(frames) {
  return merge(frames, together(frames.flatMap((frame) => frame.children)).map(joined));
}

/**
 * How much more the left side has in a difference.
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
export function sum(items, value) {
  let total = 0;
  for (const item of items) total += value(item);
  return total;
}
