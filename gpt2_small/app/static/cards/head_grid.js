// The card of all attention heads: a thumbnail, a label and the ablated loss of each.

import { card, colour, el, help, saveButton, savePng, show } from "../shared/dom.js";
import { looksAhead, oddity, shortly, signed, what } from "../drawing/head_descriptions.js";
import { drawThumbnail } from "../drawing/heat.js";
import { hideTip, showTip } from "../shared/tip.js";

const CELL = 96; // pixels of a head in the saved picture
const NOTABLE = 0.1; // a rise of the loss by this share is marked

/** The card; `onpick(layer, number)` is called for the head that is chosen, `onmeasure()` for its button. */
export class HeadGrid {
  constructor({ onpick, onmeasure }) {
    this.onpick = onpick;
    this.list = el("div", { class: "heads", role: "group", "aria-label": "Attention heads" });
    this.measure = el("button", {
      class: "quiet", id: "measure", text: "Measure every head",
      title: "The loss on this text without each head in turn", onclick: onmeasure,
    });
    this.save = saveButton("PNG", () => savePng("heads.png", this.#sheet()));
    this.element = card("Attention heads", { actions: [this.measure, this.save] },
      help("What do the heads do?", "A head lets each token (a row) take something over from tokens before it (columns); the darker a cell, the more. The word under a picture says where most of its weight goes, and the number how much the loss on this text rises without the head: heads with a high number matter here. Choose a head to see it whole. Orange cells look ahead, which a GPT-2 never does: there the causal mask is wrong."),
      el("p", { class: "muted small", text: "Under each head: where its weight goes, and how much the loss on this text rises without it." }),
      this.list);
    this.clear();
  }

  /** Remove all heads. */
  clear() {
    this.layers = [];
    this.effects = new Map(); // "layer,number" -> change of the loss
    show(this.list);
    this.save.disabled = true;
    this.measure.disabled = true;
  }

  /** All heads as {layer, number, head}. */
  all() {
    return this.layers.flatMap(({ layer, of_heads }) => of_heads.map((head, number) => ({ layer, number, head })));
  }

  /** Add a layer's heads. */
  add(item) {
    this.layers.push(item);
    this.save.disabled = false;
    const { layer, of_heads } = item;
    const heads = of_heads.map((head, number) => this.#button(layer, number, head));
    const title = el("span", {}, el("span", { class: "long", text: "Layer " }), String(layer));
    this.list.style.setProperty("--heads", of_heads.length);
    this.list.append(el("div", { class: "row" }, title, heads));
  }

  #button(layer, number, head) {
    const canvas = el("canvas", { "aria-hidden": "true" });
    drawThumbnail(canvas, head.image, looksAhead(head));
    const odd = oddity(head);
    const tip = () => [`Layer ${layer}, head ${number}`, `attends ${what(head)}`, odd, this.#effectText(layer, number)].filter(Boolean).join("\n");
    return el("button", {
      class: `head${odd ? " odd" : ""}`, id: `head-${layer}-${number}`, "aria-pressed": "false",
      "aria-label": `Layer ${layer}, head ${number} attends ${what(head)}${odd ? `. ${odd}` : ""}`,
      onclick: () => this.onpick(layer, number),
      onpointermove: (event) => showTip(tip(), event.clientX, event.clientY),
      onpointerleave: hideTip,
    }, canvas, el("small", { text: shortly(head) }), el("small", { class: "effect" }));
  }

  #effectText(layer, number) {
    const effect = this.effects.get(`${layer},${number}`);
    return effect === undefined ? "" : `without it the loss changes by ${signed(effect)} nats`;
  }

  /** Show how the loss changes without a head. */
  setEffect(layer, number, effect, loss) {
    this.effects.set(`${layer},${number}`, effect);
    const small = this.list.querySelector(`#head-${layer}-${number} .effect`);
    if (!small) return;
    small.textContent = signed(effect, 2);
    small.classList.toggle("high", effect !== null && effect > NOTABLE * loss);
  }

  /** The head to show first: one with something wrong, or the one that matters most, or the first. */
  firstChoice() {
    const odd = this.all().find(({ head }) => oddity(head));
    if (odd) return [odd.layer, odd.number];
    const [best] = [...this.effects].sort((a, b) => b[1] - a[1]);
    return best ? best[0].split(",").map(Number) : [0, 0];
  }

  /** Mark the head that is chosen, [layer, number], and those that are left out, as "layer,number". */
  mark(chosen, off) {
    for (const button of this.list.querySelectorAll(".head")) {
      const key = button.id.slice("head-".length).replace("-", ",");
      button.setAttribute("aria-pressed", String(key === String(chosen)));
      button.classList.toggle("off", off.has(key));
    }
  }

  /** Redraw in the colours of the theme. */
  redraw() {
    for (const { layer, number, head } of this.all()) drawThumbnail(this.#canvasOf(layer, number), head.image, looksAhead(head));
  }

  #canvasOf(layer, number) {
    return this.list.querySelector(`#head-${layer}-${number} canvas`);
  }

  /** All thumbnails as one picture. */
  #sheet() {
    const columns = Math.max(1, ...this.layers.map(({ of_heads }) => of_heads.length));
    const sheet = el("canvas", { width: 60 + columns * (CELL + 8), height: 24 + this.layers.length * (CELL + 24) });
    const context = sheet.getContext("2d");
    context.fillStyle = colour("card");
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.imageSmoothingEnabled = false;
    context.font = "12px sans-serif";
    context.fillStyle = colour("ink");
    this.layers.forEach(({ layer }, row) => context.fillText(`layer ${layer}`, 6, 20 + row * (CELL + 24) + CELL / 2));
    for (const { layer, number, head } of this.all()) {
      const [x, y] = [60 + number * (CELL + 8), 8 + layer * (CELL + 24)];
      context.drawImage(this.#canvasOf(layer, number), x, y, CELL, CELL);
      context.fillText(shortly(head), x, y + CELL + 14);
    }
    return sheet;
  }
}
