/**
 * Paints frames.
 *
 * Own code and libraries differ not only in colour: own frames are solid, with an edge on the
 * left and a bold name, and library frames are pale and outlined. In a difference, both colour
 * and text show which side has more.
 */

import { LIBRARY_TONES, OWN_TONES } from "./colours.js";
import { more } from "./flame_tree.js";
import { change } from "./measures.js";

/**
 * @typedef {object} Look
 * @property {number} left
 * @property {number} right
 * @property {number} top
 * @property {import("./flame_tree.js").Frame} root of the whole graph
 * @property {boolean} isRoot
 * @property {boolean} above an ancestor of the zoomed frame
 * @property {boolean} dimmed
 * @property {boolean} hit
 * @property {boolean} hovered
 * @property {boolean} selected
 * @property {boolean} focused
 */

const PADDING = 6;

/**
 * Return a function that draws one frame in the current colours.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Element} element has the colours as custom properties
 * @param {number} height
 * @param {import("./measures.js").Measure} measure
 * @param {import("./colours.js").Tones} tone
 * @returns {(frame: import("./flame_tree.js").Frame, look: Look) => void}
 */
export function painter(context, element, height, measure, tone) {
  const style = getComputedStyle(element);
  /** @param {string} name */
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const ink = colour("flame-ink");
  const ownInk = colour("own-ink");
  const own = Array.from({ length: OWN_TONES }, (_, at) => colour(`own-${at + 1}`));
  const libraries = Array.from({ length: LIBRARY_TONES }, (_, at) => colour(`library-${at + 1}`));
  const ownEdge = colour("own-edge");
  const library = colour("library");
  const libraryEdge = colour("library-edge");
  const [moreColour, lessColour] = [colour("more"), colour("less")];
  const [hitColour, focus] = [colour("hit"), colour("focus")];
  const family = style.getPropertyValue("font-family");
  const plain = `12px ${family}`;
  const bold = `600 12px ${family}`;
  context.textBaseline = "middle";
  /** @type {Record<string, number>} the width of a letter: the font is monospaced */
  const letters = {};
  for (const font of [plain, bold]) {
    context.font = font;
    letters[font] = context.measureText("0").width;
  }

  /** @type {(frame: import("./flame_tree.js").Frame, look: Look) => void} */
  const paint = (frame, look) => {
    const width = Math.max(0.5, look.right - look.left - (look.right - look.left > 3 ? 1 : 0));
    const { left, top } = look;
    const solid = frame.own && !frame.left;
    context.globalAlpha = look.dimmed ? 0.3 : look.above ? 0.6 : 1;
    context.fillStyle = look.isRoot ? libraryEdge : frame.left ? library : (solid ? own : libraries)[tone.of(frame)];
    context.fillRect(left, top, width, height - 1);
    if (frame.left && frame.right) {
      const most = Math.max(look.root.left?.total ?? 0, look.root.right?.total ?? 0, 1);
      const extra = more(frame);
      // The square root makes small differences visible.
      const strength = Math.min(1, Math.sqrt(Math.abs(extra) / most) * 1.2);
      if (Math.abs(extra) >= most * 0.004) {
        context.globalAlpha *= strength;
        context.fillStyle = extra > 0 ? moreColour : lessColour;
        context.fillRect(left, top, width, height - 1);
        context.globalAlpha = look.dimmed ? 0.3 : look.above ? 0.6 : 1;
      }
    }
    if (frame.own && width > 6) {
      context.fillStyle = ownEdge;
      context.fillRect(left, top, 3, height - 1);
    } else if (!frame.own && !look.isRoot && width > 4) {
      context.strokeStyle = libraryEdge;
      context.lineWidth = 1;
      context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 2);
    }
    text(frame, look, width, solid);
    context.globalAlpha = 1;
    if (look.hit) outline(hitColour, 2, look, width);
    if (look.hovered) outline(ink, 1, look, width);
    if (look.selected && !look.isRoot) outline(ink, 2, look, width);
    if (look.focused) outline(focus, 3, look, width);
  };

  /** @param {import("./flame_tree.js").Frame} frame @param {Look} look @param {number} width @param {boolean} solid */
  const text = (frame, look, width, solid) => {
    const font = frame.own || look.isRoot ? bold : plain;
    const letter = letters[font];
    const room = width - PADDING - (frame.own ? PADDING + 2 : PADDING);
    const fits = Math.floor(room / letter);
    if (fits < 2) return;
    context.font = font;
    context.fillStyle = solid ? ownInk : ink;
    const name = `${frame.name || "(unknown)"}${frame.fold && !frame.fold.packages.length ? ` ↻ ${frame.fold.count}` : ""}`;
    const middle = look.top + height / 2;
    const start = look.left + (frame.own ? PADDING + 2 : PADDING);
    const value = frame.left ? change(measure, more(frame)) : measure.text(frame.total);
    const shown = name.length <= fits ? name : `${name.slice(0, fits - 1)}…`;
    context.fillText(shown, start, middle, room);
    if (name.length + 2 + value.length > fits) return;
    context.font = plain;
    context.textAlign = "right";
    context.fillText(value, look.left + width - PADDING, middle);
    context.textAlign = "left";
  };

  /** @param {string} stroke @param {number} line @param {Look} look @param {number} width */
  const outline = (stroke, line, look, width) => {
    context.strokeStyle = stroke;
    context.lineWidth = line;
    context.strokeRect(look.left + line / 2, look.top + line / 2, Math.max(0, width - line), height - 1 - line);
  };
  return paint;
}
