// Elements from names and text. Whatever comes from outside becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** An HTML element; attributes named `on…` are listeners; `null` and `false` children are left out. */
export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element. */
export const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Replaces the contents, unless they are the same: a selection, a focus and a screen reader's place then stay. */
export function show(parent, ...children) {
  const fresh = document.createElement(parent.localName);
  fresh.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  if (fresh.innerHTML !== parent.innerHTML) parent.replaceChildren(...fresh.childNodes);
}

/** Changes text only if it differs. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SHAPES = {
  live: () => svg("circle", { cx: 8, cy: 8, r: 6.5 }),
  dead: () => svg("path", { d: "M8 .5 15.5 8 8 15.5 .5 8Z" }),
  folded: () => svg("rect", { x: 2.5, y: 2.5, width: 11, height: 11, rx: 1.5 }),
  warn: () => svg("path", { d: "M8 1 15.6 15H.4Z" }),
};

/** The shape of a state. Always beside its word. */
export const mark = (state) => svg("svg", { class: `mark ${state}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, SHAPES[state]());

/** Shape, count and word. */
export const stateCount = (state, count, text) =>
  el("span", { class: `state ${count === 0 ? "none" : state}` }, mark(state), text ?? `${count} ${state}`);
