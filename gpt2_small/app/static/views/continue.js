// The view Continue: a prompt, its continuation, and the candidates of each token.

import { ask, sentence } from "../shared/api.js";
import { Branches } from "../cards/continuation_tree.js";
import { card, el, fixed, help, save } from "../shared/dom.js";
import { Inspector } from "../cards/inspector.js";
import { asSample, openSample } from "../text/sample_file.js";
import { store } from "../shared/token_tree.js";
import { TokenView, legend, meanLoss, scored } from "../text/tokens.js";
import { writer } from "../text/continuation_client.js";

const FIELDS = [
  ["max_new_tokens", "Tokens", { min: 1, max: 4096, step: 1 }, "How many to write at most"],
  ["temperature", "Temperature", { min: 0, max: 10, step: 0.1 }, "Divides the logits; 0 always takes the likeliest"],
  ["top_k", "Top-k", { min: 1, step: 1 }, "Draw from the k likeliest only"],
  ["top_p", "Top-p", { min: 0.01, max: 1, step: 0.01 }, "Draw from the likeliest that make up p"],
  ["min_p", "Min-p", { min: 0, max: 1, step: 0.01 }, "Leave out tokens below this share of the likeliest"],
  ["typical_p", "Typical-p", { min: 0.01, max: 1, step: 0.01 }, "Draw from the tokens whose surprise is nearest to the expected one"],
  ["repetition_penalty", "Repetition", { min: 0.1, max: 10, step: 0.1 }, "Above 1 repeats less"],
  ["seed", "Seed", { min: 0, step: 1 }, "The same seed gives the same text"],
];

/** The view; `model()` gives the key of the model that is asked. */
export class ContinueView {
  constructor(model) {
    this.model = model;
    this.selected = -1;
    this.view = new TokenView({ name: "The text, token by token", empty: "Press Write: the text appears here, token by token.", onselect: (n) => this.select(n) });
    this.inspector = new Inspector({ model, onpick: (row) => this.#branch(row) });
    this.branches = new Branches((leaf) => this.#walk(leaf));
    this.element = el("div", { class: "columns" }, this.#left(), this.inspector.element);
    writer.addEventListener("state", () => this.#writing());
    writer.addEventListener("text", () => this.refresh());
    writer.addEventListener("added", (event) => this.#added(event.detail));
  }

  #left() {
    this.prompt = el("textarea", {
      id: "prompt", rows: 2, dir: "auto", value: store.draft ?? (store.promptText || "Once upon a time"),
      oninput: () => { store.draft = this.prompt.value; store.keep(); },
      onkeydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#start();
      },
    });
    this.go = el("button", { class: "main", id: "go", text: "Write", onclick: () => this.#start() });
    this.more = el("button", { class: "plain", id: "more", text: "Write on", onclick: () => this.#more() });
    this.stop = el("button", { class: "plain", id: "stop", text: "Stop", onclick: () => writer.stop() });
    this.status = el("span", { class: "muted small num", role: "status", "aria-live": "polite" });
    const form = card("Prompt", {},
      help("What is this?", "The model reads your prompt and writes on, a token at a time. Each token is shaded by how likely the model found it: the stronger the colour, the less expected. Point at a token for its numbers, or choose it to see the ten likeliest tokens in its place. Choose one of those, and the text branches there; every branch stays in the tree."),
      el("label", { for: "prompt", class: "visually-hidden", text: "The prompt" }), this.prompt,
      el("details", {}, el("summary", { text: "Sampling options" }), el("div", { class: "options" }, this.#fields())),
      el("div", { class: "actions" }, this.go, this.more, this.stop, this.status));
    this.file = el("input", { type: "file", accept: ".json,application/json", class: "visually-hidden", id: "open-file", tabindex: -1, "aria-label": "A file to open", onchange: () => this.#open() });
    const actions = [
      el("button", { class: "quiet", text: "Open", title: "Open a file that was saved here, or by gpt2-small sample --json", onclick: () => this.file.click() }),
      el("button", { class: "quiet", id: "save-json", text: "Save JSON", title: "The format of gpt2-small sample --json", onclick: () => this.#save() }),
      this.file,
    ];
    this.loss = el("p", { class: "muted small num" });
    return el("div", { class: "stack" }, form, card("Text", { actions }, this.view.element, legend(), this.loss), this.branches.element);
  }

  #fields() {
    return FIELDS.map(([name, title, limits, about]) => el("label", { title: about }, title, el("input", {
      type: "number", id: `option-${name}`, ...limits, value: store.options[name] ?? "", placeholder: "–",
      onchange: (event) => {
        const { value } = event.target;
        if (value === "") delete store.options[name];
        else store.options[name] = Number(value);
        store.keep();
        this.#inspect();
      },
    })));
  }

  /** Called when the view is shown. */
  enter() {
    this.#writing();
    this.refresh();
  }

  #start() {
    store.draft = null;
    this.selected = -1;
    writer.write(this.model(), 0, { prompt: this.prompt.value });
  }

  #more() {
    writer.write(this.model(), store.leaf);
  }

  #writing() {
    const { isWriting } = writer;
    this.go.disabled = isWriting;
    this.more.disabled = isWriting || !store.prompt.length;
    this.stop.disabled = !isWriting;
    this.status.textContent = writer.status;
    this.view.element.classList.toggle("caret", isWriting);
  }

  #added(tokens) {
    this.view.add(tokens);
    this.status.textContent = writer.status;
  }

  /** Redraw the text. */
  refresh() {
    const tokens = store.tokens();
    this.view.show(tokens);
    if (this.selected >= tokens.length) this.selected = -1;
    this.view.select(this.selected);
    this.#losses(tokens);
    this.branches.draw();
    if (!writer.isWriting) this.#inspect();
  }

  #losses(tokens) {
    const loss = meanLoss(tokens);
    const truths = tokens.filter((token) => Number.isFinite(token.divergence));
    const mean = truths.reduce((sum, token) => sum + token.divergence, 0) / truths.length;
    const parts = [];
    if (loss !== null) parts.push(`${scored(tokens).length} tokens, ${fixed(loss)} nats a token (perplexity ${fixed(Math.exp(loss), 1)})`);
    if (truths.length) parts.push(`divergence from the grammar ${fixed(mean)} nats a token`);
    this.loss.textContent = parts.join(" · ");
  }

  /** Show a token's candidates. */
  select(index) {
    this.selected = index;
    this.#inspect();
  }

  #inspect() {
    this.inspector.inspect(this.selected);
  }

  /** Put a candidate in the chosen token's place and write on from there. */
  #branch(row) {
    writer.stop();
    if (this.selected < store.prompt.length) store.shortenPrompt(this.selected);
    const at = this.selected - store.prompt.length;
    const path = store.path();
    const parent = at === 0 ? 0 : path[at - 1].number;
    const known = store.children(parent).find((node) => node.token.id === row.id);
    if (known) {
      this.#walk(store.endOf(known.number));
      return;
    }
    const candidates = path[at].token.candidates;
    const { truth, divergence } = path[at].token;
    const rank = this.inspector.rows.indexOf(row) + 1;
    const token = { id: row.id, text: row.word, token: row.word, bytes: "", lp: row.lp, rank, candidates, truth, divergence, kind: "chosen" };
    store.leaf = store.add(parent, token);
    writer.write(this.model(), store.leaf);
  }


  #walk(leaf) {
    store.leaf = leaf;
    store.keep();
    this.refresh();
  }

  #save() {
    save("sample.json", `${JSON.stringify(asSample(), null, 1)}\n`, "application/json");
  }

  async #open() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    try {
      writer.stop();
      const tokensOf = async (what) => (await ask("tokens", { ...what, model: this.model() })).tokens;
      const said = await openSample(JSON.parse(await file.text()), tokensOf);
      this.prompt.value = store.promptText;
      this.selected = -1;
      this.status.textContent = said;
      this.refresh();
      if (!said) await writer.complete(this.model()); // another model's numbers are not mixed with this one's
    } catch (error) {
      this.status.textContent = error instanceof SyntaxError ? "this file is not JSON" : sentence(error);
    }
  }
}
