// The view Continue: a prompt, the text that follows, and what else could have come.

import { ask, isStop, sentence } from "./api.js";
import { barsPicture, showBars } from "./bars.js";
import { card, el, fixed, help, label, percent, save, saveSvg, show } from "./dom.js";
import { asSample, openSample } from "./sample_file.js";
import { store } from "./store.js";
import { TokenView, legend } from "./tokens.js";
import { tokenized, writer } from "./writer.js";

const FIELDS = [
  ["max_new_tokens", "Tokens", { min: 1, max: 4096, step: 1 }, "How many to write at most"],
  ["temperature", "Temperature", { min: 0, max: 10, step: 0.1 }, "Higher is wilder, 0 always takes the likeliest"],
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
    this.view = new TokenView({ name: "The text, token by token", onselect: (n) => this.select(n) });
    this.element = el("div", { class: "columns" }, this.#left(), this.#right());
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
    form.querySelector(".options").after();
    this.file = el("input", { type: "file", accept: ".json,application/json", class: "visually-hidden", id: "open-file", tabindex: -1, "aria-label": "A file to open", onchange: () => this.#open() });
    const actions = [
      el("button", { class: "quiet", text: "Open", title: "Open a file that was saved here, or by gpt2-small sample --json", onclick: () => this.file.click() }),
      el("button", { class: "quiet", id: "save-json", text: "Save JSON", title: "The format of gpt2-small sample --json", onclick: () => this.#save() }),
      this.file,
    ];
    this.loss = el("p", { class: "muted small num" });
    this.tree = el("ul", { class: "tree" });
    this.branches = card("Branches", {}, this.tree);
    return el("div", { class: "stack" }, form, card("Text", { actions }, this.view.element, legend(), this.loss), this.branches);
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

  #right() {
    this.word = el("p", { class: "quoted" });
    this.facts = el("dl", { class: "facts" });
    this.bars = el("ul", { class: "bars", id: "candidates" });
    this.key = el("div", { class: "legend key", "aria-hidden": "true" });
    this.hint = el("p", { class: "muted small" });
    const actions = [el("button", { class: "quiet", text: "Save SVG", onclick: () => this.#picture() })];
    return card("What else could have come", { actions, id: "inspector" }, this.word, this.facts, this.bars, this.key, this.hint);
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

  /** Show the text at hand anew. */
  refresh() {
    const tokens = store.tokens();
    this.view.show(tokens);
    if (!tokens.length) this.view.element.textContent = "";
    if (this.selected >= tokens.length) this.selected = -1;
    this.view.select(this.selected);
    this.#losses(tokens);
    this.#branches();
    if (!writer.isWriting) this.#inspect();
  }

  #losses(tokens) {
    const known = tokens.filter((token) => token.lp !== null && token.lp !== undefined);
    const loss = known.length ? -known.reduce((sum, token) => sum + token.lp, 0) / known.length : null;
    const truths = tokens.filter((token) => token.divergence !== undefined);
    const mean = truths.reduce((sum, token) => sum + token.divergence, 0) / truths.length;
    const parts = [];
    if (loss !== null) parts.push(`${known.length} tokens, ${fixed(loss)} nats a token (perplexity ${fixed(Math.exp(loss), 1)})`);
    if (truths.length) parts.push(`divergence from the grammar ${fixed(mean)} nats a token`);
    this.loss.textContent = parts.join(" · ");
  }

  /** Show what could have stood in a token's place. */
  select(index) {
    this.selected = index;
    this.#inspect();
  }

  async #inspect() {
    const tokens = store.tokens();
    const token = tokens[this.selected];
    this.inspected?.abort();
    if (!token) {
      this.word.textContent = "";
      show(this.facts);
      show(this.bars);
      show(this.key);
      this.hint.textContent = tokens.length ? "Choose a token in the text." : "Write something first, then choose a token.";
      return;
    }
    this.inspected = new AbortController();
    this.word.textContent = `“${label(token.token || token.text)}”`;
    this.#facts(token);
    this.#rows(token, token.candidates ?? []);
    if (this.selected === 0) {
      this.hint.textContent = "Nothing stands before the first token, so nothing predicts it.";
      return;
    }
    this.hint.textContent = "Choose a token to branch there: the text so far, then that token, and the model writes on.";
    try {
      const ids = tokens.slice(0, this.selected).map((each) => each.id);
      const asked = { ...store.options, model: this.model(), ids, candidates: 10, prompt_length: Math.min(ids.length, store.prompt.length) };
      const next = await ask("next", asked, this.inspected.signal);
      this.#rows(token, next.candidates, next.truth, next.kept);
    } catch (error) {
      if (!isStop(error)) this.hint.textContent = sentence(error);
    }
  }

  #facts(token) {
    const rows = [];
    if (token.lp !== null && token.lp !== undefined) {
      rows.push(["Probability", percent(Math.exp(token.lp))], ["Log-probability", `${fixed(token.lp)} nats`], ["Rank", token.rank ?? "over 10"]);
    }
    if (token.true_lp !== undefined) {
      rows.push(["True probability", token.true_lp === null ? "0: not in the grammar" : percent(Math.exp(token.true_lp))]);
      rows.push(["Divergence", `${fixed(token.divergence)} nats`]);
    }
    rows.push(["Token id", token.id], ["Bytes", token.bytes.replace(/(..)(?=.)/g, "$1 ") || "none"]);
    show(this.facts, rows.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]));
  }

  #rows(token, candidates, truth, kept) {
    const shares = new Map((truth ?? token.truth ?? []).map(([id, , p]) => [id, p]));
    const hasTruth = shares.size > 0;
    const isShaped = candidates.some(([, , lp, after]) => after !== undefined && Math.abs(after - Math.exp(lp)) > 1e-4);
    this.rows = candidates.map(([id, word, lp, after]) => {
      const lanes = [{ kind: "model", name: "the model", p: Math.exp(lp) }];
      if (isShaped) lanes.push({ kind: "after", name: "after temperature and cuts", p: after });
      if (hasTruth) lanes.push({ kind: "truth", name: "the grammar", p: shares.get(id) ?? 0 });
      return { id, word: word || "¶ (a new story)", lp, lanes, taken: id === token.id, cut: after === 0 };
    });
    showBars(this.bars, this.rows, this.selected > 0 ? (row) => this.#branch(row) : null);
    const key = [el("span", {}, el("i", { class: "k1" }), "the model")];
    if (isShaped) key.push(el("span", {}, el("i", { class: "k2" }), `after temperature and cuts${kept ? ` (${kept} left)` : ""}`));
    if (hasTruth) key.push(el("span", {}, el("i", { class: "k3" }), "the grammar's truth"));
    show(this.key, key);
  }

  /** Put a candidate in the chosen token's place and write on from there. */
  #branch(row) {
    writer.stop();
    const at = this.selected - store.prompt.length;
    if (at < 0) {
      this.#branchPrompt(row);
      return;
    }
    const path = store.path();
    const parent = at === 0 ? 0 : path[at - 1].number;
    const known = store.children(parent).find((node) => node.token.id === row.id);
    if (known) {
      this.#walk(store.endOf(known.number));
      return;
    }
    const candidates = path[at].token.candidates;
    const { truth, divergence } = path[at].token;
    const rank = this.rows.indexOf(row) + 1;
    const token = { id: row.id, text: row.word, token: row.word, bytes: "", lp: row.lp, rank, candidates, truth, divergence, kind: "chosen" };
    store.leaf = store.add(parent, token);
    writer.write(this.model(), store.leaf);
  }

  /** A token in the prompt's place: what comes before it becomes the prompt of a new text. */
  #branchPrompt(row) {
    const before = store.prompt.slice(0, this.selected);
    const token = { id: row.id, text: row.word, token: row.word, bytes: "", lp: row.lp, rank: this.rows.indexOf(row) + 1, kind: "chosen" };
    store.clear();
    store.prompt = before;
    store.promptText = before.map((each) => each.text).join("");
    store.leaf = store.add(0, token);
    writer.write(this.model(), store.leaf);
  }

  #walk(leaf) {
    store.leaf = leaf;
    store.keep();
    this.refresh();
  }

  #branches() {
    const hasBranches = [0, ...store.nodes.keys()].some((number) => store.children(number).length > 1);
    this.branches.hidden = !hasBranches;
    if (!hasBranches) return;
    const onPath = new Set(store.path().map((node) => node.number));
    const byParent = new Map();
    for (const node of store.nodes.values()) {
      if (!byParent.has(node.parent)) byParent.set(node.parent, []);
      byParent.get(node.parent).push(node);
    }
    const item = (node) => {
      const run = [node];
      while (byParent.get(run.at(-1).number)?.length === 1) run.push(byParent.get(run.at(-1).number)[0]);
      const words = run.slice(0, 14).map((each) => each.token.text).join("").trim();
      const last = run.at(-1);
      const children = byParent.get(last.number) ?? [];
      const isCurrent = onPath.has(node.number) && (children.length === 0 || store.leaf === last.number);
      const button = el("button", { "aria-current": isCurrent ? "true" : null, onclick: () => this.#walk(store.endOf(last.number)) },
        `${label(words)} … `, el("small", { text: `${run.length} tokens, ${fixed(meanLoss(run), 2)} nats` }));
      return el("li", {}, button, children.length ? el("ul", {}, children.map(item)) : null);
    };
    show(this.tree, (byParent.get(0) ?? []).map(item));
  }

  #save() {
    save("sample.json", `${JSON.stringify(asSample(), null, 1)}\n`, "application/json");
  }

  async #open() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    try {
      openSample(JSON.parse(await file.text()));
      this.prompt.value = store.promptText;
      if (!store.prompt.length) {
        store.prompt = (await tokenized(this.model(), store.promptText)).map((token) => ({ ...token, lp: null, kind: "prompt" }));
      }
      const { tokens } = await ask("tokens", { model: this.model(), ids: store.ids() });
      store.tokens().forEach((token, n) => Object.assign(token, tokens[n]));
      this.refresh();
      await writer.complete(this.model());
    } catch (error) {
      this.status.textContent = error instanceof SyntaxError ? "this file is not JSON" : sentence(error);
    }
  }

  #picture() {
    if (this.rows?.length) saveSvg("candidates.svg", barsPicture(this.word.textContent, this.rows));
  }
}

function meanLoss(nodes) {
  const known = nodes.filter((node) => node.token.lp !== null && node.token.lp !== undefined);
  return known.length ? -known.reduce((sum, node) => sum + node.token.lp, 0) / known.length : null;
}
