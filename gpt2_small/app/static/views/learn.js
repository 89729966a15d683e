// The view Learn: the parts of a learner's file, live, and the loss of a run that trains.

import { ask, isStop, lines, sentence } from "../shared/api.js";
import { lineChart } from "../drawing/charts.js";
import { card, el, fixed, help, saveButton, saveSvg, show } from "../shared/dom.js";
import { followFile } from "../shared/learner_file.js";
import { store } from "../shared/token_tree.js";

const WORDS = { passed: "done", failed: "wrong", not_written: "not written", waiting: "checking …" };
const SIGNS = { passed: "✓", failed: "✗", not_written: "○", waiting: "…" };

/** The view; `onsave(sha256)` is called when the file has a new text that runs. */
export class LearnView {
  constructor(onsave) {
    this.onsave = onsave;
    this.element = el("div", { class: "stack" });
  }

  /** Called when the view is shown. */
  enter() {
    if (this.isBuilt) return;
    this.isBuilt = true;
    show(this.element, store.state.learner ? this.#parts() : this.#none(), store.state.run ? this.#loss() : null);
    if (store.state.learner) followFile((state, problem) => (state ? this.#take(state) : this.#problem(problem)));
    if (store.state.run) this.#followRun();
  }

  #none() {
    return card("Write GPT-2 yourself", {}, el("p", {}, "There is no file of yours here. Start one with ", el("code", { text: "gpt2-small start my_gpt2.py" }), ", then open this page again with ", el("code", { text: "gpt2-small app --solution my_gpt2.py" }), ": its parts are then checked after every save, and Look inside shows what your attention does."));
  }

  #parts() {
    this.heading = el("p", { class: "num" });
    this.fill = el("i");
    this.list = el("ul", { class: "parts", id: "parts" });
    this.advice = el("pre", { class: "advice", id: "advice", role: "status" });
    this.hintBox = el("div", { class: "note", hidden: true });
    const press = (key) => ask("learn/key", { key }).catch((error) => this.#problem(sentence(error)));
    return el("div", { class: "columns" },
      card("The first thing to mend", { actions: [
        this.hint = el("button", { class: "plain", text: "Hint", disabled: true, onclick: () => press("h") }),
        el("button", { class: "plain", text: "Next part", onclick: () => press("n") }),
      ] }, help("How does this work?", "Your file is checked after every save, part by part, with the reference in place of the other parts. What stands here is what gpt2-small watch would say: the first thing to mend, the mistake by name where it is known, and hints, one at a time, when you ask for them."), this.advice, this.hintBox),
      card("Parts", {}, this.heading, el("div", { class: "progress", "aria-hidden": "true" }, this.fill), this.list));
  }

  #take(state) {
    if (!this.list) return;
    if (this.sha256 && state.sha256 !== this.sha256 && !state.problem) this.onsave(state);
    this.sha256 = state.sha256;
    this.heading.textContent = `${state.file}: ${state.done} of ${state.parts.length} parts done${state.is_busy ? ", checking …" : ""}`;
    this.fill.style.width = `${(100 * state.done) / state.parts.length}%`;
    show(this.list, state.parts.map((part) => el("li", { class: `${part.state}${part.name === state.focus ? " focus" : ""}` },
      el("span", { "aria-hidden": "true", text: SIGNS[part.state] }), el("span", { text: part.name }),
      el("span", { class: "state", text: part.state === "failed" ? `wrong, ${part.wrong} of ${part.checks}` : WORDS[part.state] }))));
    this.advice.textContent = state.problem ?? state.advice;
    this.hint.disabled = !state.is_known;
    this.hintBox.hidden = !state.hint;
    if (state.hint) show(this.hintBox, el("b", { text: `${state.hint.title}: ` }), state.hint.text);
  }

  #problem(text) {
    if (this.advice) this.advice.textContent = text;
  }

  #loss() {
    this.chart = el("div", {});
    this.save = saveButton("SVG", () => saveSvg("loss.svg", this.chart.firstChild));
    this.lossText = el("p", { class: "muted small num", role: "status" });
    return card(`Loss of ${store.state.run}`, { actions: [this.save] }, this.lossText, this.chart);
  }

  async #followRun() {
    for (;;) {
      try {
        for await (const items of lines("run")) {
          this.records = items.at(-1).records;
          this.#draw();
        }
      } catch (error) {
        if (!isStop(error)) this.lossText.textContent = sentence(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  #draw() {
    const { records } = this;
    if (!records?.length) {
      this.lossText.textContent = "The run has no log yet.";
      return;
    }
    const last = records.at(-1);
    const evaluated = records.filter((record) => record.val_loss !== undefined);
    this.lossText.textContent = `Step ${last.step.toLocaleString("en")}: loss ${fixed(last.loss)}${evaluated.length ? `, held-out loss ${fixed(evaluated.at(-1).val_loss)}` : ""}${last.tokens_per_second ? `, ${Math.round(last.tokens_per_second).toLocaleString("en")} tokens a second` : ""}`;
    const chart = lineChart([
      { name: "training", colour: "bar", points: records.map((record) => [record.step, record.loss]) },
      { name: "held out", colour: "bar-2", points: evaluated.map((record) => [record.step, record.val_loss]) },
    ], { x: "step", y: "nats a token", integerX: true, upTo: highest(records), width: this.chart.clientWidth });
    chart.setAttribute("aria-label", "The loss by step");
    show(this.chart, chart);
    this.save.disabled = false;
  }

  /** Redraw in the colours of the theme. */
  recolour() {
    if (this.records) this.#draw();
  }
}

/** The highest loss to draw: the first steps of a long run would flatten the rest. */
function highest(records) {
  const later = records.slice(Math.floor(records.length / 50)).map((record) => record.loss);
  return records.length < 100 ? Infinity : Math.max(...later.filter(Number.isFinite));
}
