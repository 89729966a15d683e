// The view Compare: two models on one text.

import { isStop, lines, sentence } from "../shared/api.js";
import { barsPicture, showBars } from "../drawing/bars.js";
import { card, difference, el, fixed, help, label, percent, probability, saveButton, saveSvg, show } from "../shared/dom.js";
import { store } from "../shared/token_tree.js";
import { TokenView, about, change, changeLegend, legend, meanLoss, ranked } from "../text/tokens.js";
import { tokenized } from "../text/continuation_client.js";

/** The view. */
export class CompareView {
  constructor() {
    this.sides = { a: { key: null }, b: { key: null } };
    this.element = el("div", { class: "stack" });
    this.isBuilt = false;
  }

  /** Called when the view is shown. */
  enter() {
    if (!this.isBuilt) this.#build();
    this.#fill();
    if (store.state.models.length > 1) this.#score();
  }

  #build() {
    this.isBuilt = true;
    this.view = new TokenView({
      name: "The text, by the change from the first model to the second", isShort: true, onselect: (n) => this.#select(n),
      describe: (token, n) => `${about({ ...token, lp: this.sides.a.tokens?.[n]?.lp ?? null, rank: this.sides.a.tokens?.[n]?.rank })}\nsecond model ${percent(probability(this.sides.b.tokens?.[n]?.lp))}`,
    });
    this.status = el("p", { class: "muted small", role: "status" });
    this.own = el("input", { "aria-label": "Another text to compare on", placeholder: "Compare on another text …", dir: "auto", onkeydown: (event) => event.key === "Enter" && this.#other() });
    const choose = el("div", { class: "halves" }, this.#chooser("a", "First model"), this.#chooser("b", "Second model"));
    this.bars = { a: el("ul", { class: "bars" }), b: el("ul", { class: "bars" }) };
    this.texts = { a: new TokenView({ name: "The first model's text" }), b: new TokenView({ name: "The second model's text" }) };
    this.titles = { a: el("h3", {}), b: el("h3", {}) };
    this.go = el("button", { class: "main", text: "Let both write on", onclick: () => this.#write() });
    this.stop = el("button", { class: "plain", text: "Stop", onclick: () => this.writing?.abort(), disabled: true });
    show(this.element,
      card("Two models", {}, help("What is compared?", "Both models read the same text. Blue tokens are likelier to the second model, orange ones less likely; choose one to see both models' candidates. Then let both write on with the same seed, side by side. For a run, the slider walks along its checkpoints, so you can watch what training taught."), choose),
      card("One text", {}, this.view.element, changeLegend("less likely to the second", "more likely to the second"), this.status,
        el("div", { class: "composer" }, this.own, el("button", { class: "plain", text: "Compare", onclick: () => this.#other() }))),
      el("div", { class: "halves" }, this.#candidates("a", "First model's candidates"), this.#candidates("b", "Second model's candidates")),
      card("Both write on", { actions: [this.go, this.stop] }, el("div", { class: "halves" },
        el("div", {}, this.titles.a, this.texts.a.element), el("div", {}, this.titles.b, this.texts.b.element)), legend()));
  }

  #candidates(side, title) {
    this.sides[side].save = saveButton("SVG", () => saveSvg("candidates.svg", barsPicture(title, this.sides[side].rows)));
    return card(title, { actions: [this.sides[side].save] }, this.bars[side]);
  }

  #chooser(side, title) {
    const select = el("select", { id: `compare-${side}`, onchange: () => this.#choose(side, select.value) });
    const slider = el("input", { type: "range", min: 0, "aria-label": `${title}: checkpoint`, oninput: () => this.#choose(side, this.steps()[Number(slider.value)].key) });
    this.sides[side].select = select;
    this.sides[side].slider = slider;
    return el("div", { class: "stack" }, el("label", {}, title, select), slider);
  }

  /** The run's checkpoints. */
  steps() {
    return store.state.models.filter((model) => model.kind === "step");
  }

  #fill() {
    const { models } = store.state;
    const steps = this.steps();
    this.status.textContent = models.length > 1 ? "" : "There is one model only: compare needs a run with several checkpoints, or a file of yours (--solution FILE) beside the reference.";
    for (const [side, at] of Object.entries(this.sides)) {
      const fallback = side === "a" ? models.find((model) => model.kind !== "main") ?? models[0] : models[0];
      at.key = models.some((model) => model.key === at.key) ? at.key : fallback?.key;
      show(at.select, models.map((model) => el("option", { value: model.key, text: model.label, selected: model.key === at.key })));
      at.slider.hidden = steps.length < 2;
      at.slider.max = Math.max(0, steps.length - 1);
      const index = steps.findIndex((step) => step.key === at.key);
      at.slider.value = index < 0 ? steps.length - 1 : index;
    }
  }

  #choose(side, key) {
    this.sides[side].key = key;
    this.#fill();
    this.#score();
  }

  #other() {
    return this.#score(this.own.value);
  }

  /** Compare the models on a text; without one, on the text of before. A later call ends this one. */
  async #score(text = "") {
    this.scoring?.abort();
    const control = new AbortController();
    this.scoring = control;
    try {
      const ids = await this.#idsOf(text);
      control.signal.throwIfAborted();
      this.ids = ids;
      for (const at of Object.values(this.sides)) {
        const found = [];
        for await (const items of lines("scores", { model: at.key, ids }, control.signal)) found.push(...items);
        at.tokens = found;
      }
    } catch (error) {
      if (!isStop(error)) this.status.textContent = sentence(error);
      return;
    }
    const { a, b } = this.sides;
    this.status.textContent = a.tokens.length > 1 ? `Loss: ${fixed(meanLoss(a.tokens))} nats a token for the first, ${fixed(meanLoss(b.tokens))} for the second.` : "";
    this.view.show(b.tokens, (token, n) => change(difference(token.lp, a.tokens[n].lp)));
    this.#select(Math.min(this.view.tokens.length - 1, Math.max(1, this.selected ?? this.#mostChanged())));
  }

  async #idsOf(text) {
    const kept = this.ids && this.own.value ? this.ids : store.ids();
    if (!text && kept.length) return kept;
    return (await tokenized(this.sides.a.key, text || "Once upon a time")).map((token) => token.id);
  }

  #mostChanged() {
    const { a, b } = this.sides;
    const changes = b.tokens.map((token, n) => Math.abs(difference(token.lp, a.tokens[n].lp)));
    return changes.indexOf(Math.max(...changes));
  }

  #select(index) {
    this.selected = index;
    this.view.select(index);
    for (const [side, at] of Object.entries(this.sides)) {
      const token = at.tokens[index];
      at.rows = (token?.candidates ?? []).map(([id, word, lp]) => ({
        word: label(word) || "¶", lanes: [{ kind: "model", name: "probability", p: probability(lp) }], taken: id === token.id,
      }));
      showBars(this.bars[side], at.rows);
      at.save.disabled = !at.rows.length;
    }
  }

  async #write() {
    this.writing?.abort();
    const control = new AbortController();
    this.writing = control;
    this.go.disabled = true;
    this.stop.disabled = false;
    const seed = store.options.seed ?? Math.floor(Math.random() * 2 ** 31);
    const one = async (side) => {
      const at = this.sides[side];
      this.titles[side].textContent = store.state.models.find((model) => model.key === at.key)?.label ?? "";
      this.texts[side].show([]);
      let isFirst = true;
      for await (const items of lines("continue", { ...store.options, seed, model: at.key, ids: this.ids }, control.signal)) {
        this.texts[side].add((isFirst ? items.slice(1) : items).map(ranked));
        isFirst = false;
      }
    };
    const results = await Promise.allSettled([one("a"), one("b")]);
    const failed = results.find((result) => result.status === "rejected" && !isStop(result.reason));
    if (failed) this.status.textContent = sentence(failed.reason);
    this.go.disabled = false;
    this.stop.disabled = true;
  }
}
