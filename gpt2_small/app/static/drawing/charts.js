// Draw line charts as self-contained SVG.

import { colour, svg } from "../shared/dom.js";

const WIDEST = 640;
const HEIGHT = 240;
const LEFT = 52;
const RIGHT = 110;
const TOP = 16;
const BOTTOM = 36;

/** A chart, cut off above `upTo`, of series {name, colour, points: [[x, y]], dashed}; names stand at the lines' ends. */
export function lineChart(series, { x, y, integerX = false, from = null, upTo = Infinity, width = WIDEST }) {
  const wide = Math.max(280, Math.min(WIDEST, width || WIDEST));
  const points = series.flatMap((each) => each.points).filter(([, value]) => Number.isFinite(value));
  const chart = svg("svg", { viewBox: `0 0 ${wide} ${HEIGHT}`, class: "chart", role: "img" });
  if (!points.length) return chart;
  const [low, high] = range(points.map(([value]) => value));
  const values = points.map(([, value]) => Math.min(value, upTo));
  const [bottom, top] = range(from === null ? values : [...values, from]);
  const atX = (value) => LEFT + ((value - low) / (high - low)) * (wide - LEFT - RIGHT);
  const atY = (value) => HEIGHT - BOTTOM - ((Math.min(value, top) - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  for (const tick of ticks(bottom, top)) {
    chart.append(
      svg("line", { x1: LEFT, x2: wide - RIGHT, y1: atY(tick), y2: atY(tick), stroke: colour("line") }),
      svg("text", { x: LEFT - 8, y: atY(tick) + 4, "text-anchor": "end", fill: colour("muted"), text: short(tick) }));
  }
  for (const tick of ticks(low, high, integerX)) {
    chart.append(svg("text", { x: atX(tick), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle", fill: colour("muted"), text: short(tick) }));
  }
  chart.append(
    svg("text", { x: wide - RIGHT, y: HEIGHT - 4, "text-anchor": "end", fill: colour("muted"), text: x }),
    svg("text", { x: 4, y: 11, fill: colour("muted"), text: y }));
  const taken = [];
  for (const each of series) {
    const known = each.points.filter(([, value]) => Number.isFinite(value));
    if (!known.length) continue;
    chart.append(svg("polyline", {
      points: known.map(([a, b]) => `${atX(a).toFixed(1)},${atY(b).toFixed(1)}`).join(" "),
      fill: "none", stroke: colour(each.colour), "stroke-width": 2, "stroke-linejoin": "round",
      "stroke-dasharray": each.dashed ? "5 4" : null,
    }));
    if (known.length < 24) {
      chart.append(...known.map(([a, b]) => svg("circle", { cx: atX(a), cy: atY(b), r: 3, fill: colour(each.colour) })));
    }
    let place = Math.min(atY(known.at(-1)[1]) + 4, HEIGHT - BOTTOM);
    while (taken.some((other) => Math.abs(other - place) < 14)) place -= 14;
    taken.push(place);
    chart.append(svg("text", { x: wide - RIGHT + 8, y: place, fill: colour(each.colour), text: each.name }));
  }
  return chart;
}

function range(values) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

function ticks(low, high, isWhole = false) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  if (isWhole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) found.push(tick);
  return found;
}

function short(value) {
  if (Math.abs(value) >= 10000) return `${(value / 1000).toFixed(0)}k`;
  return String(Number(value.toPrecision(4)));
}
