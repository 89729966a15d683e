// The card of the residual stream's length, layer by layer.

import { lineChart } from "../drawing/charts.js";
import { card, el, help, label, saveButton, saveSvg, show } from "../shared/dom.js";

/** The card; `subject` is the text that is looked at, with its `norms`. */
export class Norms {
  constructor(subject) {
    this.subject = subject;
    this.chart = el("div", {});
    this.save = saveButton("SVG", () => saveSvg("residual-norms.svg", this.chart.firstChild));
    this.element = card("Length of the residual stream", { actions: [this.save] },
      help("What does it show?", "Every layer adds what its attention and its MLP write to the residual stream. The lines show how long these vectors are, on average over the text or at the token you chose: a layer that writes little changes little."),
      this.chart);
  }

  /** Draw the lines for the chosen position. */
  draw() {
    const { norms, position, tokens } = this.subject;
    const mean = (row) => row.reduce((sum, value) => sum + (value ?? NaN), 0) / row.length;
    const at = (row) => row[position];
    const series = [
      { name: "stream, mean", colour: "bar", dashed: true, points: norms.resid.map((row, n) => [n, mean(row)]) },
      { name: "stream, here", colour: "bar", points: norms.resid.map((row, n) => [n, at(row)]) },
      { name: "attention", colour: "bar-2", points: norms.attn_out.map((row, n) => [n + 0.5, at(row)]) },
      { name: "MLP", colour: "bar-3", points: norms.mlp_out.map((row, n) => [n + 0.5, at(row)]) },
    ];
    const y = `length, at “${label(tokens[position].token) || "¶"}”`;
    const chart = lineChart(series, { x: "layer", y, integerX: true, from: 0, width: this.chart.clientWidth });
    chart.setAttribute("aria-label", "Length of the residual stream by layer");
    show(this.chart, chart);
    this.save.disabled = false;
  }
}
