/**
 * Folds library frames, above and below own code, and functions that call themselves.
 *
 * A web framework puts 20 frames above a handler, and a library call has 20 below it. Readers
 * rarely need them. A fold replaces them with one frame with their time, which can be opened.
 */

import { identity, merge, packageOf, sum, together } from "./flame_tree.js";

/** @typedef {import("./flame_tree.js").Frame} Frame */

/**
 * @param {Frame} root
 * @param {Set<string>} opened keys of the folds that are open
 * @returns {Frame}
 */
export function foldLibraries(root, opened) {
  const leading = leadingFrames(root);
  /**
   * @param {Frame[]} frames to merge
   * @param {string} way the path to them
   * @param {string} openedBy the key of the open fold that contains them, or ""
   * @param {string} [again] the recursive function of that fold
   * @returns {Frame[]}
   */
  const below = (frames, way, openedBy, again) => {
    const all = frames.flatMap((frame) => frame.children);
    const own = all.filter((frame) => frame.own);
    const library = all.filter((frame) => !frame.own);
    // Library frames above own code count as one framework, whatever the path through them.
    const lead = way ? [] : library.filter((frame) => leading.has(frame));
    const rest = library.filter((frame) => !lead.includes(frame));
    const runs = openedBy && !again
      ? together(library).map((group) => ({ ...merge(group, below(group, step(way, group), openedBy)), openedBy }))
      : [...(lead.length ? run(lead, way, "⋯") : []), ...together(rest).flatMap((group) => run(group, way, `⋯ ${group[0].name} ·`))];
    return [...runs, ...together(own).map((group) => ownFrame(group, way, identity(group[0]) === again ? openedBy : ""))];
  };

  /**
   * Library frames with the library frames below them: one frame, or all if the fold is open.
   *
   * @param {Frame[]} tops
   * @param {string} way
   * @param {string} prefix
   * @returns {Frame[]}
   */
  const run = (tops, way, prefix) => {
    const [inside, border] = connected(tops, (frame) => !frame.own);
    const here = step(way, tops);
    const names = new Set(inside.map(identity));
    if (names.size === 1 && tops.length === inside.length) return [merge(tops, below(tops, here, ""))];
    const key = hash(here);
    if (opened.has(key)) {
      return together(tops).map((group) => ({ ...merge(group, below(group, step(way, group), key)), openedBy: key }));
    }
    const packages = [...new Set(inside.map((frame) => packageOf(frame.file)))].filter(Boolean);
    const listed = `${packages.slice(0, 4).join(", ")}${packages.length > 4 ? ", …" : ""}`;
    const children = together(border).map((group) => ownFrame(group, here));
    return [folded(tops, inside, children, { key, count: names.size, packages }, `${prefix} ${listed}`.trim())];
  };

  /** @param {Frame[]} group @param {string} way @param {string} [openedBy] @returns {Frame} */
  const ownFrame = (group, way, openedBy) => {
    const here = step(way, group);
    const key = hash(`${here} again`);
    const self = identity(group[0]);
    const [inside, border] = connected(group, (frame) => identity(frame) === self);
    const depth = levels(group, self);
    if (openedBy || (depth > 1 && opened.has(key))) {
      const by = openedBy || key;
      return { ...merge(group, below(group, here, by, self)), openedBy: by };
    }
    if (depth === 1) return merge(group, below(group, here, ""));
    const children = below([{ ...group[0], children: border }], here, "");
    return folded(group, inside, children, { key, count: depth, packages: [] }, group[0].name);
  };

  return { ...root, children: below([root], "", "") };
}

/** @param {Frame} root library frames with own code below */
function leadingFrames(root) {
  /** @type {Set<Frame>} */
  const leading = new Set();
  /** @param {Frame} frame @returns {boolean} */
  const leads = (frame) => {
    let found = false;
    for (const child of frame.children) found = leads(child) || found;
    if (found && !frame.own) leading.add(frame);
    return found || frame.own;
  };
  leads(root);
  return leading;
}

/**
 * The frames connected to `tops` for which `belongs` is true, and the frames right below those.
 *
 * @param {Frame[]} tops
 * @param {(frame: Frame) => boolean} belongs
 * @returns {[Frame[], Frame[]]}
 */
function connected(tops, belongs) {
  /** @type {Frame[]} */
  const inside = [];
  /** @type {Frame[]} */
  const border = [];
  const waiting = [...tops].reverse();
  for (let frame = waiting.pop(); frame; frame = waiting.pop()) {
    inside.push(frame);
    for (const child of frame.children) (belongs(child) ? waiting : border).push(child);
  }
  return [inside, border];
}

/** The depth of a function's recursion. @param {Frame[]} group @param {string} self */
function levels(group, self) {
  let depth = 0;
  for (let level = group; level.length; depth++) {
    level = level.flatMap((frame) => frame.children).filter((child) => identity(child) === self);
  }
  return depth;
}

/**
 * @param {Frame[]} tops
 * @param {Frame[]} inside
 * @param {Frame[]} children
 * @param {import("./flame_tree.js").Fold} fold
 * @param {string} name
 * @returns {Frame}
 */
function folded(tops, inside, children, fold, name) {
  const merged = merge(tops, children);
  /** @param {"left" | "right"} side */
  const part = (side) => merged[side] && { total: merged[side].total, self: sum(inside, (frame) => frame[side]?.self ?? 0) };
  const again = merged.own;
  return {
    ...merged, name, fold,
    file: again ? merged.file : fold.packages.join(", "),
    line: again ? merged.line : 0,
    folds: inside.map((frame) => `${frame.name}\n${frame.file}`).join("\n"),
    self: sum(inside, (frame) => frame.self),
    left: part("left"), right: part("right"),
  };
}

/** @param {string} way @param {Frame[]} frames */
function step(way, frames) {
  return `${way}\n${identity(frames[0])}`;
}

/** Short enough for an address. @param {string} text */
export function hash(text) {
  let value = 2166136261;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 16777619);
  return (value >>> 0).toString(36);
}
