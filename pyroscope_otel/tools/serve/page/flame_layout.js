/**
 * The row of each frame of a tree, and its position from 0 to 1 across the whole.
 *
 * Optimization: the arrays are flat and in tree order, so that drawing and searching thousands
 * of frames follows no pointers. Frame 0 is the root.
 */
export class FlameLayout {
  /** @param {import("./flame_tree.js").Frame} root */
  constructor(root) {
    /** @type {import("./flame_tree.js").Frame[]} */
    this.frames = [];
    /** @type {number[]} */
    this.parents = [];
    /** @type {number[]} */
    this.depths = [];
    /** @type {number[]} */
    this.starts = [];
    /** @type {number[]} */
    this.widths = [];
    /** @type {number[][]} the frames of each row, from left to right */
    this.rows = [];
    /** @type {number[][]} */
    this.children = [];
    const whole = root.total > 0 ? root.total : 1;
    /** @type {[import("./flame_tree.js").Frame, number, number, number][]} */
    const waiting = [[root, -1, 0, 0]];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [frame, parent, depth, start] = next;
      const index = this.frames.push(frame) - 1;
      this.parents.push(parent);
      this.depths.push(depth);
      this.starts.push(start);
      this.widths.push(index === 0 ? 1 : frame.total / whole);
      this.children.push([]);
      if (parent >= 0) this.children[parent].push(index);
      (this.rows[depth] ??= []).push(index);
      let from = start;
      /** @type {[import("./flame_tree.js").Frame, number, number, number][]} */
      const below = [];
      for (const child of frame.children) {
        below.push([child, index, depth + 1, from]);
        from += child.total / whole;
      }
      waiting.push(...below.reverse());
    }
  }

  /**
   * The frame at a position in a row, or -1.
   *
   * @param {number} depth
   * @param {number} at from 0 to 1
   */
  find(depth, at) {
    const row = this.rows[depth] ?? [];
    const index = row[this.firstEndingAfter(depth, at)];
    return index !== undefined && this.starts[index] <= at ? index : -1;
  }

  /**
   * The index in its row of the first frame that ends after a position.
   *
   * @param {number} depth
   * @param {number} at
   */
  firstEndingAfter(depth, at) {
    const row = this.rows[depth];
    let low = 0;
    let high = row.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[row[middle]] + this.widths[row[middle]] > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * Whether `above` is the frame `index` itself, or one of its ancestors.
   *
   * @param {number} above
   * @param {number} index
   */
  holds(above, index) {
    for (let each = index; each >= 0; each = this.parents[each]) if (each === above) return true;
    return false;
  }

  /**
   * The next frame in the direction of an arrow key, or the same frame if there is none.
   *
   * @param {number} index
   * @param {string} key
   * @param {number} within stay inside this frame
   */
  step(index, key, within) {
    let next = index;
    if (key === "ArrowUp") next = this.parents[index];
    else if (key === "ArrowDown") {
      const below = this.children[index].filter((each) => this.holds(within, each) || this.holds(each, within));
      next = below.reduce((best, each) => (best < 0 || this.widths[each] > this.widths[best] ? each : best), -1);
    } else {
      const row = this.rows[this.depths[index]];
      const place = row.indexOf(index) + (key === "ArrowRight" ? 1 : -1);
      next = row[place] ?? -1;
      if (next >= 0 && !this.holds(within, next)) next = -1;
    }
    return next >= 0 ? next : index;
  }

  /**
   * The path from the root, for an address: "0.2.1". The root is "".
   *
   * @param {number} index
   */
  path(index) {
    /** @type {number[]} */
    const steps = [];
    for (let each = index; each > 0; each = this.parents[each]) {
      steps.push(this.children[this.parents[each]].indexOf(each));
    }
    return steps.reverse().join(".");
  }

  /**
   * The frame at the end of a path, or the root if the path is invalid.
   *
   * @param {string} path
   */
  follow(path) {
    let index = 0;
    for (const step of path ? path.split(".") : []) {
      const next = this.children[index][Number(step)];
      if (next === undefined) return 0;
      index = next;
    }
    return index;
  }

  /**
   * The frames from the root's child down to a frame.
   *
   * @param {number} index
   */
  stack(index) {
    /** @type {import("./flame_tree.js").Frame[]} */
    const frames = [];
    for (let each = index; each > 0; each = this.parents[each]) frames.push(this.frames[each]);
    return frames.reverse();
  }

  /**
   * The frames with a matching name or file, and how much of the whole they cover.
   *
   * @param {RegExp} pattern
   * @returns {{hits: Set<number>, covered: number}}
   */
  search(pattern) {
    /** @type {Set<number>} */
    const hits = new Set();
    const inside = new Uint8Array(this.frames.length);
    let covered = 0;
    for (let index = 1; index < this.frames.length; index++) {
      const frame = this.frames[index];
      const hit = [frame.name, frame.file, frame.folds].some((each) => pattern.test(each));
      inside[index] = inside[this.parents[index]] || Number(hit);
      if (!hit) continue;
      hits.add(index);
      // Parents come before their children, so it is known whether a parent is a hit.
      if (!inside[this.parents[index]]) covered += this.widths[index];
    }
    return { hits, covered };
  }
}
