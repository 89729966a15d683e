// The card of the logit lens: the next token by each layer.

import { isStop, lines, sentence } from "../shared/api.js";
import { card, colour, el, help, label, percent, probability, saveButton, saveSvg, show, svg } from "../shared/dom.js";
import { hideTip, showTip } from "../shared/tip.js";

const COLUMNS = 12;

/** The card; `subject` is the text that is looked at. */
export class Lens {
  constructor(subject, { onproblem }) {
    this.subject = subject;
    this.onproblem = onproblem;
    this.table = el("div", { class: "lens", id: "lens" });
    this.save = saveButton("SVG", () => saveSvg("logit-lens.svg", this.#picture()));
    this.element = card("What each layer would say", { actions: [this.save] },
      help("How is this read?", "Each row ends the model after that many layers and lets it name the next token, through the final norm and the unembedding (the “logit lens”). The last row is what the model really says. The stronger the colour, the surer it is; a green frame marks the token that does come next. So you see in which layer the answer appears."),
      this.table);
  }

  /** Begin with another text. */
  clear() {
    this.asking?.abort();
    this.save.disabled = true;
    show(this.table);
  }

  /** Show the columns around the chosen position. */
  async draw() {
    const { model, ids, tokens, position } = this.subject;
    const start = Math.max(0, Math.min(position - COLUMNS + 3, tokens.length - COLUMNS));
    const stop = Math.min(tokens.length, start + COLUMNS);
    this.asking?.abort();
    this.asking = new AbortController();
    const rows = [];
    try {
      for await (const items of lines("lens", { model, ids, start, stop }, this.asking.signal)) rows.push(...items);
    } catch (error) {
      if (!isStop(error)) this.onproblem(sentence(error));
      return;
    }
    this.rows = rows;
    this.save.disabled = false;
    this.words = tokens.slice(start, stop).map((token) => label(token.token) || "¶");
    const heading = el("tr", {}, el("th", { text: "after" }), this.words.map((text) => el("th", { scope: "col", text })));
    const body = rows.map(({ layer, cells }) => el("tr", {}, el("th", { scope: "row", text: this.#name(layer) }), cells.map(cellOf)));
    const caption = el("caption", { class: "visually-hidden", text: "The likeliest next token after each token, by layer" });
    show(this.table, el("table", {}, caption, el("thead", {}, heading), el("tbody", {}, body)));
  }

  #name(layer) {
    if (layer === 0) return "embedding";
    return layer === this.rows.length - 1 ? "the model" : `layer ${layer - 1}`;
  }

  #picture() {
    const { rows, words } = this;
    const picture = svg("svg", { viewBox: `0 0 ${90 + words.length * 74} ${34 + rows.length * 26}` });
    words.forEach((word, n) => picture.append(svg("text", { x: 92 + n * 74, y: 20, fill: colour("ink"), text: word })));
    rows.forEach(({ layer, cells }, row) => {
      const y = 30 + row * 26;
      picture.append(svg("text", { x: 6, y: y + 16, fill: colour("muted"), text: this.#name(layer) }));
      cells.forEach((cell, n) => picture.append(
        svg("rect", {
          x: 88 + n * 74, y, width: 71, height: 23, rx: 4, fill: colour("bar"), "fill-opacity": 0.6 * probability(cell.candidates[0][2]),
          stroke: cell.rank === 1 ? colour("good") : "none", "stroke-width": 2,
        }),
        svg("text", { x: 92 + n * 74, y: y + 16, fill: colour("ink"), text: label(cell.candidates[0][1]) || "¶" })));
    });
    return picture;
  }
}

function cellOf(cell) {
  const [, word, lp] = cell.candidates[0];
  return el("td", {
    class: `${strength(probability(lp))}${cell.rank === 1 ? " hit" : ""}`, text: label(word) || "¶",
    onpointermove: (event) => showTip(about(cell), event.clientX, event.clientY), onpointerleave: hideTip,
  });
}

function strength(p) {
  return p > 0.8 ? "l4" : p > 0.5 ? "l3" : p > 0.2 ? "l2" : "l1";
}

function about(cell) {
  const rows = cell.candidates.map(([, word, lp]) => `${label(word) || "¶"}  ${percent(probability(lp))}`);
  if (cell.rank !== undefined) rows.push(`the token that comes next: rank ${cell.rank ?? "–"}, ${percent(probability(cell.lp))}`);
  return rows.join("\n");
}
