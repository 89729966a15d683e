// Draw attention patterns on canvases: a small one for each head, and one at its full size.

import { colour, word as wordOf } from "../shared/dom.js";

/** The colours from no weight to all of it, as [red, green, blue]; they differ in lightness. */
const RAMPS = {
  light: [[255, 255, 255], [214, 229, 244], [135, 183, 226], [47, 109, 181], [12, 44, 92]],
  dark: [[28, 31, 37], [28, 56, 92], [44, 104, 168], [122, 179, 236], [236, 246, 255]],
};
const AHEAD = [213, 94, 0];

function ramp() {
  const colours = RAMPS[document.documentElement.dataset.theme === "dark" ? "dark" : "light"];
  return (level) => {
    const at = Math.max(0, Math.min(1, level)) * (colours.length - 1);
    const low = Math.min(Math.floor(at), colours.length - 2);
    return colours[low].map((c, n) => c + (colours[low + 1][n] - c) * (at - low));
  };
}

/** Draw the thumbnail that the server made; weight on later positions is orange. */
export function drawThumbnail(canvas, { size, levels }, isOdd) {
  canvas.width = canvas.height = size;
  const bytes = Uint8Array.from(atob(levels), (c) => c.charCodeAt(0));
  paint(canvas, size, (row, column) => bytes[row * size + column] / 255, isOdd);
}

function paint(canvas, size, levelOf, marksAhead) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  const colourOf = ramp();
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const level = levelOf(row, column);
      const isAhead = marksAhead && column > row && level > 0.01;
      const [red, green, blue] = isAhead ? AHEAD : colourOf(level);
      image.data.set([red, green, blue, isAhead ? 90 + 165 * level : 255], 4 * (row * size + column));
    }
  }
  context.putImageData(image, 0, 0);
}

/** One head at full size, with its tokens beside it; it can be pointed at and walked by keys. */
export class HeadMap {
  constructor(onpoint) {
    this.onpoint = onpoint;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "big";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "No head is chosen yet");
    this.canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.#point(event));
    this.canvas.addEventListener("pointerleave", () => this.onpoint(null));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show weights [seq * seq] over these words. */
  show(weights, words, name) {
    this.weights = weights;
    this.words = words;
    this.at = [words.length - 1, 0];
    this.canvas.setAttribute("aria-label", `${name}. Arrow keys walk over its cells.`);
    this.draw();
  }

  /** Draw at the present width. */
  draw() {
    const { words } = this;
    if (!words) return;
    const seq = words.length;
    const width = Math.max(280, this.canvas.parentElement?.clientWidth ?? 480);
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const shows = seq <= 48;
    const font = Math.max(9, Math.min(14, (width - 90) / seq * 0.8));
    this.margin = shows ? Math.min(110, 12 + font * 0.6 * Math.max(...words.map((w) => wordOf(w).length))) : 14;
    this.cell = (width - this.margin - 8) / seq;
    const height = this.margin + this.cell * seq + 8;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = colour("card");
    context.fillRect(0, 0, width, height);
    const square = document.createElement("canvas");
    square.width = square.height = seq;
    paint(square, seq, (row, column) => Math.sqrt(this.weights[row * seq + column] || 0), true);
    context.imageSmoothingEnabled = false;
    context.drawImage(square, this.margin, this.margin, this.cell * seq, this.cell * seq);
    context.strokeStyle = colour("line");
    context.strokeRect(this.margin, this.margin, this.cell * seq, this.cell * seq);
    if (shows) this.#words(context, font);
    this.#cursor(context);
  }

  #words(context, font) {
    context.font = `${font}px ${colour("sans")}`;
    context.textBaseline = "middle";
    this.words.forEach((word, n) => {
      const text = wordOf(word);
      const short = text.length > 12 ? `${text.slice(0, 11)}…` : text;
      const at = this.margin + this.cell * (n + 0.5);
      context.fillStyle = this.at && n === this.at[0] ? colour("accent") : colour("muted");
      context.textAlign = "right";
      context.fillText(short, this.margin - 5, at);
      context.fillStyle = this.at && n === this.at[1] ? colour("accent") : colour("muted");
      context.save();
      context.translate(at, this.margin - 5);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(short, 0, 0);
      context.restore();
    });
  }

  #cursor(context) {
    if (!this.pointed) return;
    const [row, column] = this.at;
    context.strokeStyle = colour("bar-2");
    context.lineWidth = 2;
    const size = Math.max(this.cell, 4);
    context.strokeRect(this.margin + this.cell * column, this.margin + this.cell * row, size, size);
  }

  #point(event) {
    if (!this.words) return;
    const box = this.canvas.getBoundingClientRect();
    const scale = (this.margin + this.cell * this.words.length + 8) / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale - this.margin) / this.cell);
    const row = Math.floor(((event.clientY - box.top) * scale - this.margin) / this.cell);
    if (row < 0 || column < 0 || row >= this.words.length || column >= this.words.length) {
      this.onpoint(null);
      return;
    }
    this.#choose(row, column, event.clientX, event.clientY);
  }

  #key(event) {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    if (!step || !this.words) return;
    event.preventDefault();
    const last = this.words.length - 1;
    const [row, column] = this.at.map((n, axis) => Math.max(0, Math.min(last, n + step[axis])));
    const box = this.canvas.getBoundingClientRect();
    const scale = box.width / (this.margin + this.cell * this.words.length + 8);
    this.#choose(row, column, box.left + (this.margin + this.cell * (column + 1)) * scale, box.top + (this.margin + this.cell * (row + 1)) * scale);
  }

  #choose(row, column, x, y) {
    this.at = [row, column];
    this.pointed = true;
    this.draw();
    this.onpoint({ row, column, weight: this.weights[row * this.words.length + column], x, y });
  }
}
