// Make elements; a text becomes a text node, never markup.

/** An element with attributes, properties (on..., text, class) and children. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A sentence whose commands, `between such marks`, are shown as commands. */
export function withCommands(sentence) {
  const parts = sentence.split("`").map((part, n) => (n % 2 ? el("code", { class: "command", text: part }) : part));
  return parts.at(-1) === "." ? parts.slice(0, -1) : parts;
}

/** Replace an element's children. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null));
}

/** A card with a title; `actions` stand at its right. */
export function card(title, { actions = [], id } = {}, ...children) {
  const heading = el("h2", { text: title });
  const head = el("header", {}, heading, el("div", { class: "actions push" }, actions));
  return el("section", { class: "card", id, "aria-label": title }, head, ...children);
}

/** A collapsed help text. */
export function help(question, text) {
  return el("details", { class: "help" }, el("summary", { text: question }), el("p", { text }));
}

const PICTURES = new Map([
  ["\u200e", "⟨LRM⟩"], ["\u200f", "⟨RLM⟩"], ["\u061c", "⟨ALM⟩"],
  ["\u202a", "⟨LRE⟩"], ["\u202b", "⟨RLE⟩"], ["\u202c", "⟨PDF⟩"], ["\u202d", "⟨LRO⟩"],
  ["\u202e", "⟨RLO⟩"], ["\u2066", "⟨LRI⟩"], ["\u2067", "⟨RLI⟩"], ["\u2068", "⟨FSI⟩"],
  ["\u2069", "⟨PDI⟩"],
]);

/** A text with control and direction characters made visible; line breaks and tabs stay. */
export function visible(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.codePointAt(0);
    if (PICTURES.has(c)) return PICTURES.get(c);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\ufffd";
  });
}

/** The same on one line, for labels. */
export function label(text) {
  return visible(text).replace(/\n/g, "↵").replace(/\t/g, "⇥");
}

/** A token's text without the spaces around it: ¶ for the end of a text, ␣ for a space alone. */
export function word(text) {
  return text === "" ? "¶" : label(text).trim() || "␣";
}

/** A probability by its log; null for none, and for a number that is not finite. */
export function probability(lp) {
  return lp === null || lp === undefined ? null : Math.exp(lp);
}

/** The difference of two numbers; null when one is missing. */
export function difference(a, b) {
  return a === null || a === undefined || b === null || b === undefined ? null : a - b;
}

/** A probability as a percentage of about two digits. */
export function percent(p) {
  if (p === null || p === undefined || Number.isNaN(p)) return "–";
  const value = 100 * p;
  if (value >= 99.95) return "100 %";
  if (value >= 10) return `${value.toFixed(1)} %`;
  if (value >= 0.1) return `${value.toFixed(2)} %`;
  return value >= 0.001 ? `${value.toFixed(4)} %` : value > 0 ? "< 0.001 %" : "0 %";
}

/** A number with a fixed count of decimals; a dash for none. */
export function fixed(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

/** Save a file on the reader's side. */
export function save(name, content, type) {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A button that saves a picture of a kind, SVG or PNG; disabled until there is a picture to save. */
export function saveButton(kind, onclick) {
  return el("button", { class: "quiet", text: `Save ${kind}`, disabled: true, onclick });
}

/** The value of one of the sheet's colours. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Save an SVG element as a self-contained file. */
export function saveSvg(name, element) {
  const copy = element.cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("font-family", "sans-serif");
  copy.setAttribute("font-size", "12");
  const { width, height } = element.viewBox.baseVal;
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.prepend(svg("rect", { width: "100%", height: "100%", fill: colour("card") }));
  save(name, new XMLSerializer().serializeToString(copy), "image/svg+xml");
}

/** Save a canvas as PNG. */
export function savePng(name, canvas) {
  canvas.toBlob((blob) => save(name, blob), "image/png");
}
