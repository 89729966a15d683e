// The card of one token: its numbers and its candidates.

import { ask, isStop, sentence } from "../shared/api.js";
import { barsPicture, showBars } from "../drawing/bars.js";
import { card, difference, el, fixed, label, percent, probability, saveButton, saveSvg, show } from "../shared/dom.js";
import { store } from "../shared/token_tree.js";

const CANDIDATES = 10;
const SHAPED = 1e-4; // from this difference on, a probability counts as changed by temperature and cuts

/** The card; `model()` gives the key of the model that is asked, `onpick(row)` takes a candidate. */
export class Inspector {
  constructor({ model, onpick }) {
    this.model = model;
    this.onpick = onpick;
    this.word = el("p", { class: "quoted" });
    this.facts = el("dl", { class: "facts" });
    this.bars = el("ul", { class: "bars", id: "candidates" });
    this.key = el("div", { class: "legend key", "aria-hidden": "true" });
    this.hint = el("p", { class: "muted small" });
    this.save = saveButton("SVG", () => saveSvg("candidates.svg", barsPicture(this.word.textContent, this.rows)));
    this.element = card("What else could have come", { actions: [this.save], id: "inspector" },
      this.word, this.facts, this.bars, this.key, this.hint);
  }

  /** Show the candidates of a token; -1 for no token. */
  async inspect(index) {
    const tokens = store.tokens();
    const token = tokens[index];
    this.asking?.abort();
    if (!token) {
      this.save.disabled = true;
      this.word.textContent = "";
      for (const part of [this.facts, this.bars, this.key]) show(part);
      this.hint.textContent = tokens.length ? "Choose a token in the text." : "Write something first, then choose a token.";
      return;
    }
    this.word.textContent = `“${label(token.token || token.text)}”`;
    show(this.facts, factsOf(token).flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]));
    this.#candidates(token, index, token.candidates ?? [], token.truth);
    if (index === 0) {
      this.hint.textContent = "Nothing stands before the first token, so nothing predicts it.";
      return;
    }
    this.hint.textContent = "Choose a token to branch there: the text so far, then that token, and the model writes on.";
    await this.#ask(token, index, tokens.slice(0, index).map((each) => each.id));
  }

  async #ask(token, index, ids) {
    this.asking = new AbortController();
    const prompt_length = Math.min(ids.length, store.prompt.length);
    try {
      const asked = { ...store.options, model: this.model(), ids, candidates: CANDIDATES, prompt_length };
      const next = await ask("next", asked, this.asking.signal);
      this.#candidates(token, index, next.candidates, next.truth ?? token.truth, next.kept);
    } catch (error) {
      if (!isStop(error)) this.hint.textContent = sentence(error);
    }
  }

  #candidates(token, index, candidates, truth, kept) {
    const shares = new Map((truth ?? []).map(([id, , p]) => [id, p]));
    const isShaped = candidates.some(([, , lp, after]) => after !== undefined && Math.abs(difference(after, probability(lp))) > SHAPED);
    this.rows = candidates.map(([id, word, lp, after]) => {
      const lanes = [{ kind: "model", name: "the model", p: probability(lp) }];
      if (isShaped) lanes.push({ kind: "after", name: "after temperature and cuts", p: after });
      if (shares.size) lanes.push({ kind: "truth", name: "the grammar", p: shares.get(id) ?? 0 });
      return { id, word: word || "¶ (the end)", lp, lanes, taken: id === token.id, cut: after === 0 };
    });
    showBars(this.bars, this.rows, index > 0 ? this.onpick : null);
    this.save.disabled = !this.rows.length;
    const key = [el("span", {}, el("i", { class: "k1" }), "the model")];
    if (isShaped) key.push(el("span", {}, el("i", { class: "k2" }), `after temperature and cuts${kept ? ` (${kept} left)` : ""}`));
    if (shares.size) key.push(el("span", {}, el("i", { class: "k3" }), "the grammar's truth"));
    show(this.key, key);
  }
}

/** A token's numbers, as [name, value]. */
function factsOf(token) {
  const rows = [];
  if (token.lp !== null && token.lp !== undefined) {
    rows.push(["Probability", percent(Math.exp(token.lp))], ["Log-probability", `${fixed(token.lp)} nats`], ["Rank", token.rank ?? "over 10"]);
  }
  if (token.true_lp !== undefined) {
    rows.push(["True probability", token.true_lp === null ? "0: not in the grammar" : percent(Math.exp(token.true_lp))]);
    rows.push(["Divergence", `${fixed(token.divergence)} nats`]);
  }
  rows.push(["Token id", token.id], ["Bytes", token.bytes.replace(/(..)(?=.)/g, "$1 ") || "none"]);
  return rows;
}
