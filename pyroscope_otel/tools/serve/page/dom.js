/**
 * Makes elements from untrusted data.
 *
 * Names of spans, functions and files come from anyone who can reach the server. They enter the
 * document only as text nodes and attribute values, never as markup. Links lead only to this
 * page or its API.
 */

/** @typedef {Node | string | number | null | undefined | false | any[]} Child lists are flattened */

/**
 * Make an HTML element.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on` has listeners, `style` has CSS
 *   properties (set one by one, which the content security policy allows); null, undefined
 *   and false are omitted, true is an empty value.
 * @param {...Child} children strings become text
 * @returns {any}
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, /** @type {any} */ (listener));
    } else if (name === "style") {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else {
      if (name === "href" && !/^(#|\/api\/)/.test(value)) throw new Error(`not a link of this page: ${value}`);
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {any[]} children
 */
function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Replace the children of an element.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * A button that opens a menu. A choice, Escape, or a click elsewhere closes it.
 *
 * @param {string} label
 * @param {...Child} items links and buttons
 * @returns {HTMLDetailsElement}
 */
export function menu(label, ...items) {
  const summary = h("summary", { class: "button" }, label);
  const element = h("details", {
    class: "menu",
    on: {
      keydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Escape" || !element.open) return;
        event.stopPropagation();
        element.open = false;
        summary.focus();
      },
      focusout: (/** @type {FocusEvent} */ event) => {
        if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) element.open = false;
      },
    },
  }, summary, h("div", { class: "items", tabindex: "-1", on: { click: () => { element.open = false; } } }, items));
  return element;
}

/**
 * Code to use elsewhere, with a button that copies it.
 *
 * @param {string} code
 */
export function codeBlock(code) {
  return h("div", { class: "copied" }, h("pre", { tabindex: "0" }, h("code", {}, code)), copyButton(code, "code"));
}

/**
 * A button that copies a text and confirms it.
 *
 * @param {string | (() => string)} text
 * @param {string} name what is copied, for its accessible name
 * @param {string} [label]
 */
export function copyButton(text, name, label = "Copy") {
  const button = h("button", { type: "button", class: "quiet", "aria-label": `Copy ${name}` }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}
