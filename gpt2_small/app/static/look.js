// The view Look inside: what each head attends to, what each layer would say.

import { ask, askBytes, isStop, lines, sentence } from "./api.js";
import { showBars } from "./bars.js";
import { lineChart } from "./charts.js";
import { card, el, fixed, help, label, percent, savePng, saveSvg, show, svg, colour } from "./dom.js";
import { HeadMap, drawThumbnail } from "./heat.js";
import { mistakesOf } from "./learn.js";
import { store } from "./store.js";
import { hideTip, showTip } from "./tip.js";
import { TokenView, change, changeLegend, legend } from "./tokens.js";
import { tokenized } from "./writer.js";

const AHEAD = 1e-4;
const UNLIKE = 1e-3;
const LENS_TOKENS = 12;
const QUICK_HEADS = 60;
const KINDS = {
  previous: "the token before", first: "the first token", itself: "itself",
  same: "earlier copies of itself", after: "what followed earlier copies of itself",
};
const SHORT = { previous: "previous", first: "first", itself: "itself", same: "copies", after: "induction" };

/** The view; `model()` gives the key of the model that is asked. */
export class LookView {
  constructor(model) {
    this.model = model;
    this.ids = [];
    this.off = new Set();
    this.view = new TokenView({ name: "The text that is looked at", isShort: true, onselect: (n) => this.#at(n) });
    this.warnings = el("div", { "aria-live": "polite" });
    this.element = el("div", { class: "stack" });
    this.#build();
  }

  #build() {
    this.own = el("input", { id: "look-text", "aria-label": "Another text to look at", placeholder: "Look at another text …", dir: "auto", onkeydown: (event) => event.key === "Enter" && this.#other() });
    this.status = el("span", { class: "muted small", role: "status" });
    this.legend = el("div", {}, legend());
    const text = card("The text", {}, this.view.element, this.legend,
      el("div", { class: "composer" }, this.own, el("button", { class: "plain", text: "Look", onclick: () => this.#other() })), this.status);
    this.heads = el("div", { class: "heads", role: "group", "aria-label": "Attention heads" });
    const grid = card("Attention heads", { actions: [
      this.measure = el("button", { class: "quiet", id: "measure", text: "Measure every head", title: "The loss on this text without each head in turn", onclick: () => this.#measure() }),
      el("button", { class: "quiet", text: "Save PNG", onclick: () => savePng("heads.png", this.#sheet()) }),
    ] },
    help("What do the heads do?", "A head lets each token (a row) take something over from tokens before it (columns); the darker a cell, the more. The word under a picture says where most of its weight goes, and the number how much the loss on this text rises without the head: heads with a high number matter here. Choose a head to see it whole. Orange cells look ahead, which a GPT-2 never does: there the causal mask is wrong."),
    this.heads);
    this.map = new HeadMap((cell) => this.#point(cell));
    this.title = el("p", { class: "quoted" });
    this.sentence = el("p", {});
    this.without = el("button", { class: "plain", id: "ablate", "aria-pressed": "false", text: "Leave this head out", onclick: () => this.#toggle() });
    this.back = el("button", { class: "quiet", text: "Put all heads back", onclick: () => this.#restore() });
    this.effect = el("p", { class: "num" });
    this.after = el("ul", { class: "bars", id: "ablated" });
    this.afterKey = el("div", { class: "legend key", "aria-hidden": "true" }, el("span", {}, el("i", { class: "k1" }), "as it is"), el("span", {}, el("i", { class: "k2" }), "without"));
    this.candidatesTitle = el("h3", {});
    const one = card("One head", { id: "one-head", actions: [el("button", { class: "quiet", text: "Save PNG", onclick: () => savePng("head.png", this.map.canvas) })] },
      this.title, this.sentence, this.pairs = el("ul", { class: "pairs", "aria-label": "Its strongest links" }), el("div", { class: "big-wrap" }, this.map.canvas),
      el("div", { class: "actions" }, this.without, this.back), this.effect, this.candidatesTitle, this.after, this.afterKey);
    this.lens = el("div", { class: "lens", id: "lens" });
    const lens = card("What each layer would say", { actions: [el("button", { class: "quiet", text: "Save SVG", onclick: () => this.#saveLens() })] },
      help("How is this read?", "Each row ends the model after that many layers and lets it name the next token, through the final norm and the unembedding (the “logit lens”). The last row is what the model really says. The stronger the colour, the surer it is; a green frame marks the token that does come next. So you see in which layer the answer appears."),
      this.lens);
    this.norms = el("div", {});
    const norms = card("Length of the residual stream", { actions: [el("button", { class: "quiet", text: "Save SVG", onclick: () => saveSvg("residual-norms.svg", this.norms.firstChild) })] },
      help("What does it show?", "Every layer adds what its attention and its MLP write to the residual stream. The lines show how long these vectors are, on average over the text or at the token you chose: a layer that writes little changes little."),
      this.norms);
    show(this.element, this.warnings, text, el("div", { class: "looking" }, grid, one, lens, norms));
    new ResizeObserver(() => this.map.draw()).observe(one);
  }

  /** Called when the view is shown: look at the text at hand, unless that is done. */
  enter() {
    const ids = store.ids();
    const isSame = this.shownModel === this.model() && ids.length && String(ids) === String(this.fromStore);
    if (isSame && !store.state.learner) {
      this.#redraw();
      return;
    }
    this.fromStore = ids;
    if (ids.length) this.#look(ids);
    else if (!this.ids.length) this.#first();
    else this.#look(this.ids);
  }

  async #first() {
    try {
      const tokens = await tokenized(this.model(), store.promptText || "Once upon a time");
      await this.#look(tokens.map((token) => token.id));
    } catch (error) {
      this.status.textContent = sentence(error);
    }
  }

  /** The head to show first: one that looks ahead, or the one that matters most, or the first. */
  #firstChoice() {
    const heads = this.layers.flatMap(({ layer, of_heads }) => of_heads.map((head, number) => ({ layer, number, head })));
    const odd = heads.find(({ head }) => oddity(head));
    if (odd) return [odd.layer, odd.number];
    const [best] = [...this.effects].sort((a, b) => b[1] - a[1]);
    return best ? best[0].split(",").map(Number) : [0, 0];
  }

  async #other() {
    try {
      const tokens = await tokenized(this.model(), this.own.value);
      await this.#look(tokens.map((token) => token.id));
    } catch (error) {
      this.status.textContent = sentence(error);
    }
  }

  async #look(ids) {
    for (const each of [this.control, this.picked, this.ablating, this.lensing]) each?.abort();
    const control = new AbortController();
    this.control = control;
    this.ids = ids;
    this.position = ids.length - 1;
    this.shownModel = this.model();
    this.layers = [];
    this.effects = new Map();
    this.off.clear();
    this.chosen = null;
    show(this.heads);
    show(this.warnings);
    show(this.lens);
    this.status.textContent = "Looking …";
    const compare = store.state.models.some((model) => model.kind === "reference");
    try {
      for await (const items of lines("look", { model: this.model(), ids, compare }, control.signal)) {
        if (control !== this.control) return;
        for (const item of items) this.#take(item);
      }
      this.status.textContent = "";
      this.#warn();
      if (this.layers.length * this.headCount <= QUICK_HEADS) await this.#measure();
      if (control === this.control && !this.chosen) this.#choose(...this.#firstChoice());
    } catch (error) {
      if (!isStop(error)) this.status.textContent = sentence(error);
    }
  }

  #take(item) {
    if (item.tokens) {
      this.tokens = item.tokens.map((token, n) => ({ ...token, lp: item.lps[n] }));
      this.loss = item.loss;
      this.allNorms = item.norms;
      this.headCount = item.heads;
      this.position = this.tokens.length - 1;
      this.#shade();
      this.view.select(this.position);
      this.#lens();
      this.#norms();
    } else if ("looks_ahead" in item) {
      this.ahead = item.looks_ahead;
    } else {
      this.layers.push(item);
      this.#row(item);
    }
  }

  #shade() {
    this.view.show(this.tokens);
    show(this.legend, legend());
  }

  #row({ layer, of_heads }) {
    const buttons = of_heads.map((head, number) => {
      const canvas = el("canvas", { "aria-hidden": "true" });
      drawThumbnail(canvas, head.image, head.ahead === null || head.ahead > AHEAD);
      const odd = oddity(head);
      return el("button", {
        class: `head${odd ? " odd" : ""}`, id: `head-${layer}-${number}`, "aria-pressed": "false",
        "aria-label": `Layer ${layer}, head ${number}: ${what(head)}${odd ? `. ${odd}` : ""}`,
        onclick: () => this.#pick(layer, number),
        onpointermove: (event) => showTip(`Layer ${layer}, head ${number}\n${what(head)}${odd ? `\n${odd}` : ""}${this.#effectText(layer, number)}`, event.clientX, event.clientY),
        onpointerleave: hideTip,
      }, canvas, el("small", { text: shortly(head) }), el("small", { class: "effect" }));
    });
    this.heads.style.setProperty("--heads", of_heads.length);
    this.heads.append(el("div", { class: "row" }, el("span", {}, el("span", { class: "long", text: "Layer " }), String(layer)), buttons));
  }

  #warn() {
    const heads = this.layers.flatMap(({ layer, of_heads }) => of_heads.map((head, number) => ({ layer, number, ...head })));
    const ahead = heads.filter((head) => head.ahead === null || head.ahead > AHEAD);
    const sums = heads.filter((head) => head.sums === null || head.sums > AHEAD);
    const unlike = heads.filter((head) => head.unlike === null || head.unlike > UNLIKE);
    const notes = [];
    const named = (some) => (some.length === heads.length ? `all ${heads.length} heads` : `${some.length} of ${heads.length} heads`);
    if (ahead.length || this.ahead) {
      const parts = [el("b", { text: "This model looks ahead. " })];
      if (ahead.length) parts.push(`In ${named(ahead)} a position attends to later ones (orange cells). `);
      if (this.ahead) parts.push(`Changing the last token changes what the model predicts at “${label(this.tokens[this.ahead.position].token)}”, before it. `);
      parts.push("A GPT-2 must not: its causal mask is missing or wrong.");
      notes.push(el("p", { class: "note warn", id: "looks-ahead" }, parts));
    }
    if (sums.length) notes.push(el("p", { class: "note warn" }, el("b", { text: "Rows that do not add up. " }), `In ${named(sums)} the weights of a position do not add up to 1: something changes them after the softmax.`));
    if (unlike.length) {
      const naming = el("span", { id: "named-mistake" });
      notes.push(el("p", { class: "note warn", id: "unlike" }, el("b", { text: "Unlike the reference. " }), `On the same weights, ${named(unlike)} (dashed frames) attend differently than the reference's. `, naming));
      mistakesOf("MultiHeadAttention", (text) => { naming.textContent = text; });
    }
    const origins = new Set(this.layers.map((each) => each.origin));
    if (origins.has("probe")) notes.push(el("p", { class: "note small", text: "This file has no hook_pattern; its patterns were observed by giving its attention values that name their position." }));
    if (origins.has("weights")) notes.push(el("p", { class: "note warn small", text: "These patterns were computed from W_Q and W_K with a causal mask; the file's own could not be observed. A wrong mask would not show in them." }));
    show(this.warnings, notes);
  }

  /** Choose a head by hand; on a narrow window its card is further down. */
  #pick(layer, number) {
    this.#choose(layer, number);
    const card = document.getElementById("one-head");
    if (card.offsetTop > this.heads.offsetTop + this.heads.offsetHeight) card.scrollIntoView({ behavior: "smooth" });
  }

  async #choose(layer, number) {
    this.chosen = [layer, number];
    const head = this.layers[layer].of_heads[number];
    for (const button of this.heads.querySelectorAll(".head")) {
      button.setAttribute("aria-pressed", String(button.id === `head-${layer}-${number}`));
    }
    this.title.textContent = `Layer ${layer}, head ${number}`;
    const odd = oddity(head);
    this.sentence.textContent = `It attends mostly to ${what(head)}.${odd ? ` But ${odd}.` : ""}`;
    this.#buttons();
    this.picked?.abort();
    this.picked = new AbortController();
    try {
      const bytes = await askBytes("head", { model: this.model(), ids: this.ids, layer, head: number }, this.picked.signal);
      this.map.pointed = false;
      const weights = new Float32Array(bytes);
      this.#pairs(weights);
      this.map.show(weights, this.tokens.map((token) => token.token), `Attention of layer ${layer}, head ${number}`);
      this.#ablate();
    } catch (error) {
      if (!isStop(error)) this.status.textContent = sentence(error);
    }
  }

  /** Name the strongest links that no fixed place explains. */
  #pairs(weights) {
    const seq = this.tokens.length;
    const links = [];
    for (let row = 1; row < seq; row++) {
      for (let column = 0; column < seq; column++) {
        const weight = weights[row * seq + column];
        if (column !== row && weight > 0.1) links.push({ row, column, weight });
      }
    }
    links.sort((a, b) => b.weight - a.weight);
    const word = (n) => label(this.tokens[n].token).trim() || "¶";
    const seen = new Map();
    for (const { row, column, weight } of links) {
      const name = `${word(row)} → ${word(column)}`;
      if (!seen.has(name) && seen.size < 7) seen.set(name, weight);
    }
    show(this.pairs, [...seen].map(([name, weight]) => el("li", {}, name, el("small", { text: `  ${percent(weight)}` }))));
  }

  #point(cell) {
    if (!cell) {
      hideTip();
      return;
    }
    const word = (n) => `“${label(this.tokens[n].token) || "¶"}”`;
    showTip(`${word(cell.row)} attends to ${word(cell.column)}\nweight ${cell.weight.toFixed(4)}${cell.column > cell.row && cell.weight > AHEAD ? "\nit looks ahead" : ""}`, cell.x, cell.y);
  }

  #at(position) {
    this.position = position;
    this.#lens();
    this.#norms();
    this.#ablate();
  }

  #buttons() {
    const isOff = this.chosen && this.off.has(String(this.chosen));
    this.without.setAttribute("aria-pressed", String(Boolean(isOff)));
    this.without.textContent = isOff ? "Put this head back" : "Leave this head out";
    this.back.hidden = this.off.size < 2;
    for (const button of this.heads.querySelectorAll(".head")) {
      button.classList.toggle("off", this.off.has(button.id.slice(5).replace("-", ",")));
    }
  }

  #toggle() {
    const key = String(this.chosen);
    if (!this.off.delete(key)) this.off.add(key);
    this.#buttons();
    this.#ablate();
  }

  #restore() {
    this.off.clear();
    this.#buttons();
    this.#ablate();
  }

  /** Show loss and candidates without the heads that are left out, or say how to. */
  async #ablate() {
    const word = label(this.tokens[this.position].token) || "¶";
    this.candidatesTitle.textContent = `What comes after “${word}”`;
    const heads = [...this.off].map((key) => key.split(",").map(Number));
    this.ablating?.abort();
    this.ablating = new AbortController();
    try {
      const { before, after } = await ask("ablate", { model: this.model(), ids: this.ids, heads, position: this.position }, this.ablating.signal);
      const isOut = heads.length > 0;
      this.afterKey.hidden = !isOut;
      const word = heads.length === 1 ? `Without layer ${heads[0][0]}, head ${heads[0][1]}` : `Without ${heads.length} heads`;
      this.effect.textContent = isOut
        ? `${word} the loss goes from ${fixed(before.loss)} to ${fixed(after.loss)} nats (${signed(after.loss - before.loss)}).`
        : `Loss on this text: ${fixed(before.loss)} nats a token.`;
      const shown = new Map([...before.candidates, ...after.candidates].map(([id, word]) => [id, word]));
      const rows = [...shown].map(([id, word]) => {
        const lanes = [{ kind: "model", name: "as it is", p: Math.exp(before.lp_of[id]) }];
        if (isOut) lanes.push({ kind: "after", name: "without", p: Math.exp(after.lp_of[id]) });
        return { word: word || "¶ (a new story)", lanes, taken: id === this.tokens[this.position + 1]?.id };
      });
      rows.sort((a, b) => Math.max(...b.lanes.map((l) => l.p)) - Math.max(...a.lanes.map((l) => l.p)));
      showBars(this.after, rows.slice(0, 8));
      if (isOut) {
        this.view.show(this.tokens, (_token, n) => change(after.lps[n] - before.lps[n]));
        this.view.select(this.position);
        show(this.legend, changeLegend("less likely without", "more likely without"));
      } else {
        this.#shade();
        this.view.select(this.position);
      }
    } catch (error) {
      if (!isStop(error)) this.status.textContent = sentence(error);
    }
  }

  async #measure() {
    const { control } = this;
    this.measure.disabled = true;
    try {
      for await (const items of lines("ablations", { model: this.model(), ids: this.ids }, control.signal)) {
        for (const { layer, head, loss } of items) {
          this.effects.set(`${layer},${head}`, loss - this.loss);
          const small = document.getElementById(`head-${layer}-${head}`)?.querySelector(".effect");
          if (!small) continue;
          small.textContent = signed(loss - this.loss, 2);
          small.classList.toggle("high", loss - this.loss > 0.1 * this.loss);
        }
      }
    } catch (error) {
      if (!isStop(error)) this.status.textContent = sentence(error);
    }
    if (control === this.control) this.measure.disabled = false;
  }

  #effectText(layer, number) {
    const effect = this.effects.get(`${layer},${number}`);
    return effect === undefined ? "" : `\nwithout it the loss changes by ${signed(effect)} nats`;
  }

  async #lens() {
    const start = Math.max(0, Math.min(this.position - LENS_TOKENS + 3, this.tokens.length - LENS_TOKENS));
    const stop = Math.min(this.tokens.length, start + LENS_TOKENS);
    this.lensing?.abort();
    this.lensing = new AbortController();
    const rows = [];
    try {
      for await (const items of lines("lens", { model: this.model(), ids: this.ids, start, stop }, this.lensing.signal)) rows.push(...items);
    } catch (error) {
      if (!isStop(error)) this.status.textContent = sentence(error);
      return;
    }
    this.lensRows = { rows, start, stop };
    const last = rows.length - 1;
    const heading = el("tr", {}, el("th", { text: "after" }), this.tokens.slice(start, stop).map((token) => el("th", { scope: "col", text: label(token.token) || "¶" })));
    const body = rows.map(({ layer, cells }) => el("tr", {},
      el("th", { scope: "row", text: layer === 0 ? "embedding" : layer === last ? "the model" : `layer ${layer - 1}` }),
      cells.map((cell) => el("td", {
        class: `${strength(cell)}${cell.rank === 1 ? " hit" : ""}`, text: label(cell.candidates[0][1]) || "¶",
        onpointermove: (event) => showTip(cellText(cell), event.clientX, event.clientY), onpointerleave: hideTip,
      }))));
    show(this.lens, el("table", {}, el("caption", { class: "visually-hidden", text: "The likeliest next token after each token, by layer" }), el("thead", {}, heading), el("tbody", {}, body)));
  }

  #saveLens() {
    const { rows, start, stop } = this.lensRows;
    const words = this.tokens.slice(start, stop).map((token) => label(token.token) || "¶");
    const picture = svg("svg", { viewBox: `0 0 ${90 + words.length * 74} ${34 + rows.length * 26}` });
    words.forEach((word, n) => picture.append(svg("text", { x: 92 + n * 74, y: 20, fill: colour("ink"), text: word })));
    rows.forEach(({ layer, cells }, row) => {
      picture.append(svg("text", { x: 6, y: 46 + row * 26, fill: colour("muted"), text: layer === rows.length - 1 ? "the model" : layer ? `layer ${layer - 1}` : "embedding" }));
      cells.forEach((cell, n) => picture.append(
        svg("rect", { x: 88 + n * 74, y: 30 + row * 26, width: 71, height: 23, rx: 4, fill: colour("bar"), "fill-opacity": Math.exp(cell.candidates[0][2]) * 0.6, stroke: cell.rank === 1 ? colour("good") : "none", "stroke-width": 2 }),
        svg("text", { x: 92 + n * 74, y: 46 + row * 26, fill: colour("ink"), text: label(cell.candidates[0][1]) || "¶" })));
    });
    saveSvg("logit-lens.svg", picture);
  }

  #norms() {
    const { resid, attn_out, mlp_out } = this.allNorms;
    const mean = (row) => row.reduce((sum, value) => sum + value, 0) / row.length;
    const at = (row) => row[this.position];
    const series = [
      { name: "stream, mean", colour: "bar", dashed: true, points: resid.map((row, n) => [n, mean(row)]) },
      { name: "stream, here", colour: "bar", points: resid.map((row, n) => [n, at(row)]) },
      { name: "attention", colour: "bar-2", points: attn_out.map((row, n) => [n + 0.5, at(row)]) },
      { name: "MLP", colour: "bar-3", points: mlp_out.map((row, n) => [n + 0.5, at(row)]) },
    ];
    const chart = lineChart(series, { x: "layer", y: `length, at “${label(this.tokens[this.position].token) || "¶"}”`, integerX: true, from: 0, width: this.norms.clientWidth });
    chart.setAttribute("aria-label", "Length of the residual stream by layer");
    show(this.norms, chart);
  }

  #redraw() {
    this.map.draw();
  }

  /** Draw everything anew in the colours of the theme. */
  recolour() {
    if (!this.tokens) return;
    for (const { layer, of_heads } of this.layers) {
      of_heads.forEach((head, number) => drawThumbnail(document.querySelector(`#head-${layer}-${number} canvas`), head.image, head.ahead === null || head.ahead > AHEAD));
    }
    this.map.draw();
    this.#norms();
  }

  /** All thumbnails as one picture. */
  #sheet() {
    const cell = 96;
    const sheet = el("canvas", { width: 60 + this.headCount * (cell + 8), height: 24 + this.layers.length * (cell + 24) });
    const context = sheet.getContext("2d");
    context.fillStyle = colour("card");
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.imageSmoothingEnabled = false;
    context.font = "12px sans-serif";
    this.layers.forEach(({ layer, of_heads }, row) => {
      context.fillStyle = colour("ink");
      context.fillText(`layer ${layer}`, 6, 20 + row * (cell + 24) + cell / 2);
      of_heads.forEach((head, number) => {
        const source = document.querySelector(`#head-${layer}-${number} canvas`);
        const [x, y] = [60 + number * (cell + 8), 8 + row * (cell + 24)];
        context.drawImage(source, x, y, cell, cell);
        context.fillText(shortly(head), x, y + cell + 14);
      });
    });
    return sheet;
  }
}

function main(head) {
  const shares = Object.entries(KINDS).map(([name]) => [name, head.share[name] ?? 0]);
  return shares.sort((a, b) => b[1] - a[1])[0];
}

/** Where a head's weight goes, in words. */
function what(head) {
  const [name, share] = main(head);
  if (share >= 0.3) return `${KINDS[name]} (${percent(share)} of its weight)`;
  if ((head.share.even ?? 0) > 0.85) return "all tokens so far, evenly";
  return `tokens chosen by what they are (${KINDS[name]} gets ${percent(share)})`;
}

function shortly(head) {
  const [name, share] = main(head);
  if (share >= 0.3) return `${SHORT[name]} ${Math.round(100 * share)} %`;
  return (head.share.even ?? 0) > 0.85 ? "evenly" : "by content";
}

/** What is wrong with a head, in words; empty where nothing is. */
function oddity(head) {
  if (!head.is_finite) return "it holds numbers that are not finite";
  if (head.ahead > AHEAD) return `it looks ahead (up to ${fixed(head.ahead, 2)})`;
  if (head.sums > AHEAD) return "its rows do not add up to 1";
  if (head.unlike > UNLIKE) return `it differs from the reference by up to ${fixed(head.unlike, 3)}`;
  return "";
}

function strength(cell) {
  const p = Math.exp(cell.candidates[0][2]);
  return p > 0.8 ? "l4" : p > 0.5 ? "l3" : p > 0.2 ? "l2" : "l1";
}

function cellText(cell) {
  const rows = cell.candidates.map(([, word, lp]) => `${label(word) || "¶"}  ${percent(Math.exp(lp))}`);
  if (cell.rank !== undefined) rows.push(`the token that comes next: rank ${cell.rank}, ${percent(Math.exp(cell.lp))}`);
  return rows.join("\n");
}

function signed(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value).toFixed(digits);
  return Number(size) === 0 ? size : `${value < 0 ? "−" : "+"}${size}`;
}

