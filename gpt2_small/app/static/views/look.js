// The view Look inside: attention heads, one of them whole, logit lens, residual norms.

import { isStop, lines, sentence } from "../shared/api.js";
import { card, difference, el, show } from "../shared/dom.js";
import { HeadGrid } from "../cards/head_grid.js";
import { Lens } from "../cards/lens.js";
import { Norms } from "../cards/norms.js";
import { OneHead } from "../cards/one_head.js";
import { store } from "../shared/token_tree.js";
import { TokenView, change, changeLegend, legend } from "../text/tokens.js";
import { warnings } from "../cards/warnings.js";
import { tokenized } from "../text/continuation_client.js";

const QUICK_HEADS = 60; // so many are measured without being asked

/** The view; `model()` gives the key of the model that is asked. */
export class LookView {
  constructor(model) {
    this.model = model;
    // The text that is looked at: its model, ids, tokens, loss, norms, and the chosen position.
    this.subject = { ids: [] };
    const onproblem = (text) => { this.status.textContent = text; };
    this.view = new TokenView({ name: "The text that is looked at", isShort: true, onselect: (n) => this.#at(n) });
    this.grid = new HeadGrid({ onpick: (layer, number) => this.#pick(layer, number), onmeasure: () => this.#measure() });
    this.one = new OneHead(this.subject, {
      onproblem, oneffect: (changes) => this.#shade(changes),
      onoff: (off) => this.grid.mark(this.one.chosen, off),
    });
    this.lens = new Lens(this.subject, { onproblem });
    this.norms = new Norms(this.subject);
    this.warnings = el("div", { "aria-live": "polite" });
    this.panels = el("div", { class: "looking" }, this.grid.element, this.one.element, this.lens.element, this.norms.element);
    this.element = el("div", { class: "stack" }, this.warnings, this.#text(), this.panels);
  }

  #text() {
    this.own = el("input", {
      id: "look-text", "aria-label": "Another text to look at", placeholder: "Look at another text …", dir: "auto",
      onkeydown: (event) => event.key === "Enter" && this.#read(this.own.value),
    });
    const go = el("button", { class: "plain", text: "Look", onclick: () => this.#read(this.own.value) });
    this.status = el("span", { class: "muted small", role: "status" });
    this.legend = el("div", {}, legend());
    return card("The text", {}, this.view.element, this.legend, el("div", { class: "composer" }, this.own, go), this.status);
  }

  /** Called when the view is shown: look at the text at hand, unless that is done. */
  enter() {
    const ids = store.ids();
    const isSame = this.subject.model === this.model() && ids.length && String(ids) === String(this.fromStore);
    if (isSame && !store.state.learner) {
      this.one.map.draw();
      return;
    }
    this.fromStore = ids;
    if (ids.length) this.#look(ids);
    else if (this.subject.ids.length) this.#look(this.subject.ids);
    else this.#read(store.promptText || "Once upon a time");
  }

  /** Give up what is asked for, and be busy until `#end` is called with the control that this returns. */
  #begin() {
    this.control?.abort();
    this.control = new AbortController();
    this.panels.setAttribute("aria-busy", "true");
    this.status.textContent = "Looking …";
    return this.control;
  }

  #end(control, problem) {
    if (control !== this.control) return;
    this.panels.setAttribute("aria-busy", "false");
    if (problem) this.status.textContent = problem;
  }

  async #read(text) {
    const control = this.#begin();
    try {
      const tokens = await tokenized(this.model(), text);
      if (control === this.control) await this.#look(tokens.map((token) => token.id));
    } catch (error) {
      this.#end(control, sentence(error));
    }
  }

  async #look(ids) {
    const control = this.#begin();
    for (const panel of [this.grid, this.one, this.lens]) panel.clear();
    show(this.warnings);
    const model = this.model();
    Object.assign(this.subject, { model, ids, position: ids.length - 1 });
    const compare = store.state.models.some(({ kind }) => kind === "reference");
    try {
      for await (const items of lines("look", { model, ids, compare }, control.signal)) {
        control.signal.throwIfAborted();
        for (const item of items) this.#take(item);
      }
      this.status.textContent = "";
      const heads = this.grid.all().map(({ head }) => head);
      const origins = new Set(this.grid.layers.map(({ origin }) => origin));
      show(this.warnings, warnings({ heads, origins, ahead: this.ahead, tokens: this.subject.tokens }));
      this.grid.measure.disabled = false;
      if (heads.length <= QUICK_HEADS) await this.#measure();
      if (control === this.control && !this.one.chosen) this.#choose(...this.grid.firstChoice());
      this.#end(control);
    } catch (error) {
      this.#end(control, sentence(error));
    }
  }

  #take(item) {
    if (item.tokens) {
      const tokens = item.tokens.map((token, n) => ({ ...token, lp: item.lps[n] }));
      Object.assign(this.subject, { tokens, loss: item.loss, norms: item.norms, position: tokens.length - 1 });
      this.#shade(null);
      this.lens.draw();
      this.norms.draw();
    } else if ("looks_ahead" in item) {
      this.ahead = item.looks_ahead;
    } else {
      this.grid.add(item);
    }
  }

  /** Shade the text by probability, or by how the log-probabilities change. */
  #shade(changes) {
    const { tokens, position } = this.subject;
    if (changes) this.view.show(tokens, (_token, n) => change(changes[n]));
    else this.view.show(tokens);
    this.view.select(position);
    show(this.legend, changes ? changeLegend("less likely without", "more likely without") : legend());
  }

  /** Choose a head by hand; on a narrow window its card is further down. */
  #pick(layer, number) {
    this.#choose(layer, number);
    const { list } = this.grid;
    const below = this.one.element.offsetTop > list.offsetTop + list.offsetHeight;
    if (below) this.one.element.scrollIntoView({ behavior: "smooth" });
  }

  #choose(layer, number) {
    this.one.choose(layer, number, this.grid.layers[layer].of_heads[number]);
  }

  #at(position) {
    this.subject.position = position;
    this.lens.draw();
    this.norms.draw();
    this.one.ablate();
  }

  async #measure() {
    const { control } = this;
    const { model, ids, loss } = this.subject;
    this.grid.measure.disabled = true;
    try {
      for await (const items of lines("ablations", { model, ids }, control.signal)) {
        control.signal.throwIfAborted();
        for (const item of items) this.grid.setEffect(item.layer, item.head, difference(item.loss, loss), loss);
      }
    } catch (error) {
      if (!isStop(error)) this.status.textContent = sentence(error);
    }
    if (control === this.control) this.grid.measure.disabled = false;
  }

  /** Redraw in the colours of the theme. */
  recolour() {
    if (!this.subject.tokens) return;
    this.grid.redraw();
    this.one.map.draw();
    this.norms.draw();
  }
}
