/**
 * Saves a request as one HTML file, to attach to a ticket.
 *
 * The file has no scripts and no external links. It contains the page as shown, with its styles,
 * and the flame graph as SVG. Texts stay text: the document escapes them.
 */

import { h } from "./dom.js";
import { FlameLayout } from "./flame_layout.js";
import { foldLibraries } from "./flame_fold.js";
import { describe } from "./frame_details.js";

const SVG = "http://www.w3.org/2000/svg";
const STYLES = ["base.css", "requests.css", "trace.css", "profile.css"];
const WIDTH = 1200;
const ROW = 20;
const MIN_WIDTH = 0.001; // narrower frames are omitted

/**
 * @param {object} page
 * @param {string} page.title
 * @param {Element} page.head
 * @param {Element | null} page.notice
 * @param {Element} page.trace
 * @param {import("./profile_view.js").ProfileView | null} page.view
 * @returns {Promise<Blob>}
 */
export async function htmlFile({ title, head, notice, trace, view }) {
  const styles = await Promise.all(STYLES.map(async (name) => (await fetch(`/page/${name}`)).text()));
  const main = h("main", {}, still(head), notice && still(notice),
    h("section", { class: "panel" }, h("h2", {}, "Trace"), still(trace)),
    view && h("section", { class: "panel" },
      h("h2", {}, `Flame graph: ${view.measure.width}`),
      picture(view, foldLibraries(view.tree, new Set())),
      h("details", {}, h("summary", {}, "With all frames of libraries"), picture(view, view.tree)),
      still(view.table.element)),
    h("p", { class: "about" }, `Saved ${new Date().toISOString()} from ${location.origin}.`));
  // The document escapes untrusted text. A second document cannot be used: it would inherit this
  // page's policy, which forbids style elements.
  const name = document.createElement("title");
  name.textContent = title;
  return new Blob([
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
    '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">',
    name.outerHTML, `<style>${styles.join("\n")}\n${OWN_STYLE}</style></head><body>`, main.outerHTML, "</body></html>\n",
  ], { type: "text/html" });
}

const OWN_STYLE = `
.spans { max-block-size: none; }
svg.graph { display: block; inline-size: 100%; font: 12px var(--mono); margin-block: 6px; }
svg.graph rect { stroke: var(--surface); stroke-width: 1; }
svg.graph text { fill: var(--flame-ink); pointer-events: none; }
svg.graph .own text { fill: var(--own-ink); font-weight: 600; }
`;

/**
 * A copy without controls.
 *
 * @param {Element} element
 */
function still(element) {
  const copy = /** @type {Element} */ (element.cloneNode(true));
  for (const each of copy.querySelectorAll("nav, .copies, .show-more, button.quiet, .editor, .tools")) each.remove();
  for (const each of copy.querySelectorAll("button, a")) {
    const plain = document.createElement("span");
    plain.className = each.className;
    plain.append(...each.childNodes);
    each.replaceWith(plain);
  }
  for (const each of copy.querySelectorAll("[tabindex]")) each.removeAttribute("tabindex");
  return copy;
}

/**
 * @param {import("./profile_view.js").ProfileView} view
 * @param {import("./flame_tree.js").Frame} tree
 */
function picture(view, tree) {
  const layout = new FlameLayout(tree);
  const shown = layout.frames.map((_, index) => index).filter((index) => layout.widths[index] >= MIN_WIDTH);
  const rows = 1 + Math.max(...shown.map((index) => layout.depths[index]));
  const graph = svg("svg", { class: "graph", viewBox: `0 0 ${WIDTH} ${rows * ROW}`, role: "img" });
  for (const index of shown) {
    const frame = layout.frames[index];
    const width = layout.widths[index] * WIDTH;
    const x = layout.starts[index] * WIDTH;
    const y = layout.depths[index] * ROW;
    const tone = index === 0 ? "--library-edge" : `--${frame.own ? "own" : "library"}-${view.tone.of(frame) + 1}`;
    const group = svg("g", { class: frame.own ? "own" : "library" });
    const title = svg("title", {});
    title.textContent = describe(frame, view.scale()).join("\n");
    const box = svg("rect", { x, y, width, height: ROW });
    box.style.setProperty("fill", `var(${tone})`);
    group.append(title, box);
    const letters = Math.floor((width - 8) / 7.3);
    if (letters >= 3) {
      const text = svg("text", { x: x + 5, y: y + 14 });
      const name = frame.name || "(unknown)";
      text.textContent = name.length <= letters ? name : `${name.slice(0, letters - 1)}…`;
      group.append(text);
    }
    graph.append(group);
  }
  return graph;
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
function svg(tag, attributes) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * Let the browser save a file.
 *
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
