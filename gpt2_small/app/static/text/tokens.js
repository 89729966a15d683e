// Show a text as its tokens: shaded, hovered, walked by keyboard.

import { el, label, percent, visible } from "../shared/dom.js";
import { hideTip, showTip } from "../shared/tip.js";

/** The shade from each probability on; the likeliest tokens have none. */
const SHADES = [[0.5, ""], [0.2, "s1"], [0.05, "s2"], [0.01, "s3"], [0.001, "s4"], [0, "s5"]];

/** Texts that take no room of their own, such as a soft hyphen or a combining accent. */
const NARROW = /^[\p{DI}\p{M}\p{Zl}\p{Zp}]+$/u;

/** The class of a token's shade, by its log-probability. */
export function shade(lp) {
  if (lp === null || lp === undefined) return "";
  const p = Math.exp(lp);
  return SHADES.find(([least]) => p >= least)[1];
}

/** The class for a change of log-probability: worse (w) or better (b). */
export function change(difference) {
  if (difference === null || Number.isNaN(difference)) return "";
  const size = Math.abs(difference);
  const step = size < 0.05 ? 0 : size < 0.4 ? 1 : size < 1.5 ? 2 : 3;
  return step ? `${difference < 0 ? "w" : "b"}${step}` : "";
}

/** A token with its rank, where it is among its candidates. */
export function ranked(token) {
  const place = token.candidates.findIndex(([id]) => id === token.id);
  return place < 0 ? token : { ...token, rank: place + 1 };
}

/** The tokens whose log-probability is known. */
export function scored(tokens) {
  return tokens.filter((token) => token.lp !== null && token.lp !== undefined);
}

/** The mean loss of those; null where there are none. */
export function meanLoss(tokens) {
  const known = scored(tokens);
  return known.length ? -known.reduce((sum, token) => sum + token.lp, 0) / known.length : null;
}

/** The legend of the shades. */
export function legend() {
  const names = ["over 50 %", "20–50 %", "5–20 %", "1–5 %", "0.1–1 %", "under 0.1 %"];
  const items = SHADES.map(([, shade], n) => el("span", {}, el("i", { class: shade }), names[n]));
  return el("div", { class: "legend", "aria-hidden": "true" }, "Probability of each token:", items);
}

/** The legend of the changes. */
export function changeLegend(worse, better) {
  const box = (name) => el("i", { class: name });
  return el("div", { class: "legend", "aria-hidden": "true" },
    el("span", {}, box("w3"), box("w1"), worse), el("span", {}, box("b1"), box("b3"), better));
}

/** The tooltip of a token. */
export function about(token) {
  const bytes = token.bytes.replace(/(..)(?=.)/g, "$1 ");
  const first = `“${label(token.token)}”`;
  const rows = token.lp === null || token.lp === undefined
    ? [first, token.rank === null ? "the model gives it no finite number" : "nothing before it to predict it from"]
    : [`${first}  ${percent(Math.exp(token.lp))}`, `rank ${token.rank ?? "over 10"}`];
  if (token.true_lp !== undefined) {
    rows.push(`true probability ${percent(token.true_lp === null ? 0 : Math.exp(token.true_lp))}`);
  }
  return [...rows, `id ${token.id} · bytes ${bytes || "none"}`].join("\n");
}

/** A view of a text's tokens; `onselect(index)` is called for the one that is chosen. */
export class TokenView {
  constructor({ name, onselect = () => {}, isShort = false, describe = about, empty = "" }) {
    this.tokens = [];
    this.selected = -1;
    this.describe = describe;
    this.onselect = onselect;
    this.prefix = `t${Math.random().toString(36).slice(2, 8)}-`;
    this.element = el("div", {
      class: `tokens${isShort ? " short" : ""}`, role: "listbox", tabindex: 0, dir: "auto",
      "aria-label": name, "aria-orientation": "horizontal", "data-empty": empty,
      onclick: (event) => this.#pick(event.target),
      onkeydown: (event) => this.#key(event),
      onpointermove: (event) => this.#hover(event),
      onpointerleave: hideTip,
    });
  }

  /** Show these tokens; `classOf(token, index)` gives more classes. */
  show(tokens, classOf = (token) => shade(token.lp)) {
    this.classOf = classOf;
    this.tokens = [...tokens];
    if (this.selected >= tokens.length) this.selected = -1;
    // Unchanged tokens stay, so that a click that has begun still finds its token.
    const spans = this.element.children;
    tokens.forEach((token, index) => {
      const span = this.#span(token, index);
      if (!spans[index]) this.element.append(span);
      else if (!spans[index].isEqualNode(span)) spans[index].replaceWith(span);
    });
    while (spans.length > tokens.length) spans[tokens.length].remove();
    this.#mark();
  }

  /** Add tokens at the end. */
  add(tokens) {
    const from = this.tokens.length;
    this.tokens = [...this.tokens, ...tokens];
    this.element.append(...tokens.map((token, n) => this.#span(token, from + n)));
  }

  /** Choose a token, without a call of `onselect`. */
  select(index) {
    this.selected = index;
    this.#mark();
  }

  #span(token, index) {
    const isMark = token.text === "" || token.token === "";
    const lp = token.lp;
    const said = lp === null || lp === undefined ? "" : `, ${percent(Math.exp(lp))}`;
    const text = isMark ? (token.token ? "·" : `¶${token.text}`) : visible(token.text).replace(/\n/g, "↵\n");
    const [, space, word] = text.match(/^(\s*)([^]*)$/);
    return el("span", {
      class: `tok ${token.kind ?? ""} ${isMark ? "mark" : ""} ${NARROW.test(token.text) ? "narrow" : ""}`,
      role: "option", id: `${this.prefix}${index}`, "data-index": index,
      "aria-label": `${label(token.token || token.text) || "empty"}${said}`,
      "aria-selected": String(index === this.selected),
    }, word ? space : null, el("span", { class: `word ${this.classOf(token, index)}`, text: word || space }));
  }

  #mark() {
    this.element.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    const span = this.element.children[this.selected];
    if (!span) {
      this.element.removeAttribute("aria-activedescendant");
      return;
    }
    span.setAttribute("aria-selected", "true");
    this.element.setAttribute("aria-activedescendant", span.id);
  }

  #pick(target) {
    const index = indexOf(target);
    if (index < 0) return;
    this.select(index);
    this.onselect(index);
  }

  #key(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8, Home: -1e9, End: 1e9 };
    const step = steps[event.key];
    if (step === undefined || !this.tokens.length) return;
    event.preventDefault();
    const from = this.selected < 0 ? (step > 0 ? -1 : this.tokens.length) : this.selected;
    const index = Math.max(0, Math.min(this.tokens.length - 1, from + step));
    this.select(index);
    this.element.children[index].scrollIntoView({ block: "nearest" });
    this.onselect(index);
  }

  #hover(event) {
    const index = indexOf(event.target);
    if (index < 0) hideTip();
    else showTip(this.describe(this.tokens[index], index), event.clientX, event.clientY);
  }
}

function indexOf(target) {
  return Number(target.closest?.(".tok")?.dataset.index ?? -1);
}
