// The card of one attention head: its pattern, its strongest links, and the model without it.

import { ask, askBytes, isStop, sentence } from "../shared/api.js";
import { showBars } from "../drawing/bars.js";
import { card, difference, el, fixed, label, percent, probability, saveButton, savePng, show, word } from "../shared/dom.js";
import { AHEAD, oddity, signed, what } from "../drawing/head_descriptions.js";
import { HeadMap } from "../drawing/heat.js";
import { hideTip, showTip } from "../shared/tip.js";

const MOST_LINKS = 7;
const LINK = 0.1; // the least weight of a link that is named

/**
 * The card. `subject` is the text that is looked at; `onoff(off)` is called when other heads are left
 * out, as a set of "layer,number"; `oneffect(change)` with the change of each token's log-probability,
 * null where no head is left out.
 */
export class OneHead {
  constructor(subject, { onoff, oneffect, onproblem }) {
    this.subject = subject;
    this.report = { onoff, oneffect, onproblem };
    this.off = new Set();
    this.map = new HeadMap((cell) => this.#point(cell));
    this.title = el("p", { class: "quoted" });
    this.sentence = el("p", {});
    this.pairs = el("ul", { class: "pairs", "aria-label": "Its strongest links" });
    this.without = el("button", { class: "plain", id: "ablate", "aria-pressed": "false", text: "Leave this head out", onclick: () => this.#toggle() });
    this.back = el("button", { class: "quiet", text: "Put all heads back", hidden: true, onclick: () => this.#restore() });
    this.effect = el("p", { class: "num", role: "status" });
    this.candidatesTitle = el("h3", {});
    this.after = el("ul", { class: "bars", id: "ablated" });
    this.afterKey = el("div", { class: "legend key", "aria-hidden": "true" }, el("span", {}, el("i", { class: "k1" }), "as it is"), el("span", {}, el("i", { class: "k2" }), "without"));
    this.save = saveButton("PNG", () => savePng("head.png", this.map.canvas));
    this.element = card("One head", { id: "one-head", actions: [this.save] },
      this.title, this.sentence, this.pairs, el("div", { class: "big-wrap" }, this.map.canvas),
      el("div", { class: "actions" }, this.without, this.back), this.effect, this.candidatesTitle, this.after, this.afterKey);
    new ResizeObserver(() => this.map.draw()).observe(this.element);
  }

  /** Begin with another text. */
  clear() {
    this.picked?.abort();
    this.ablating?.abort();
    this.off.clear();
    this.chosen = null;
    this.save.disabled = true;
  }

  /** Show a head, as `look` described it. */
  async choose(layer, number, head) {
    this.chosen = [layer, number];
    this.title.textContent = `Layer ${layer}, head ${number}`;
    const odd = oddity(head);
    this.sentence.textContent = `It attends ${what(head)}.${odd ? ` But ${odd}.` : ""}`;
    this.#buttons();
    this.picked?.abort();
    this.picked = new AbortController();
    const { model, ids, tokens } = this.subject;
    try {
      const bytes = await askBytes("head", { model, ids, layer, head: number }, this.picked.signal);
      this.map.pointed = false;
      const weights = new Float32Array(bytes);
      this.#pairs(weights);
      this.map.show(weights, tokens.map((token) => token.token), `Attention of layer ${layer}, head ${number}`);
      this.save.disabled = false;
      this.ablate();
    } catch (error) {
      this.#problem(error);
    }
  }

  /** Name the strongest links that no fixed place explains. */
  #pairs(weights) {
    const { tokens } = this.subject;
    const links = [];
    for (let row = 1; row < tokens.length; row++) {
      for (let column = 0; column < tokens.length; column++) {
        const weight = weights[row * tokens.length + column];
        if (column !== row && weight > LINK) links.push({ row, column, weight });
      }
    }
    links.sort((a, b) => b.weight - a.weight);
    const seen = new Map();
    for (const { row, column, weight } of links) {
      const name = `${word(tokens[row].token)} → ${word(tokens[column].token)}`;
      if (!seen.has(name) && seen.size < MOST_LINKS) seen.set(name, weight);
    }
    show(this.pairs, [...seen].map(([name, weight]) => el("li", {}, name, el("small", { text: `  ${percent(weight)}` }))));
  }

  #point(cell) {
    if (!cell) {
      hideTip();
      return;
    }
    const quoted = (n) => `“${label(this.subject.tokens[n].token) || "¶"}”`;
    const ahead = cell.column > cell.row && cell.weight > AHEAD ? "\nit looks ahead" : "";
    showTip(`${quoted(cell.row)} attends to ${quoted(cell.column)}\nweight ${cell.weight.toFixed(4)}${ahead}`, cell.x, cell.y);
  }

  #buttons() {
    const isOff = this.off.has(String(this.chosen));
    this.without.setAttribute("aria-pressed", String(isOff));
    this.without.textContent = isOff ? "Put this head back" : "Leave this head out";
    this.back.hidden = this.off.size < 2;
    this.report.onoff(this.off);
  }

  #toggle() {
    if (!this.chosen) return;
    const key = String(this.chosen);
    if (!this.off.delete(key)) this.off.add(key);
    this.#buttons();
    this.ablate();
  }

  #restore() {
    this.off.clear();
    this.#buttons();
    this.ablate();
  }

  /** Show loss and candidates at the chosen position, with and without the heads that are left out. */
  async ablate() {
    const { model, ids, tokens, position } = this.subject;
    this.candidatesTitle.textContent = `What comes after “${label(tokens[position].token) || "¶"}”`;
    const heads = [...this.off].map((key) => key.split(",").map(Number));
    this.ablating?.abort();
    this.ablating = new AbortController();
    try {
      const { before, after } = await ask("ablate", { model, ids, heads, position }, this.ablating.signal);
      const isOut = heads.length > 0;
      this.afterKey.hidden = !isOut;
      this.effect.textContent = effectText(heads, before.loss, after.loss);
      this.#candidates(before, after, isOut, tokens[position + 1]?.id);
      this.report.oneffect(isOut ? tokens.map((_token, n) => difference(after.lps[n], before.lps[n])) : null);
    } catch (error) {
      this.#problem(error);
    }
  }

  #candidates(before, after, isOut, following) {
    const words = new Map([...before.candidates, ...after.candidates].map(([id, word]) => [id, word]));
    const rows = [...words].map(([id, word]) => {
      const lanes = [{ kind: "model", name: "as it is", p: probability(before.lp_of[id]) }];
      if (isOut) lanes.push({ kind: "after", name: "without", p: probability(after.lp_of[id]) });
      return { word: word || "¶ (the end)", lanes, taken: id === following };
    });
    const largest = (row) => Math.max(...row.lanes.map((lane) => lane.p));
    rows.sort((a, b) => largest(b) - largest(a));
    showBars(this.after, rows.slice(0, 8));
  }

  #problem(error) {
    if (!isStop(error)) this.report.onproblem(sentence(error));
  }
}

function effectText(heads, before, after) {
  if (!heads.length) return `Loss on this text: ${fixed(before)} nats a token.`;
  const [[layer, number]] = heads;
  const without = heads.length === 1 ? `Without layer ${layer}, head ${number}` : `Without ${heads.length} heads`;
  return `${without} the loss goes from ${fixed(before)} to ${fixed(after)} nats (${signed(difference(after, before))}).`;
}
