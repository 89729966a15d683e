// Candidates as bars, and as a picture.

import { colour, el, label, percent, svg } from "../shared/dom.js";

/**
 * Show candidates: rows of {word, lanes: [{kind, name, p}], taken, cut}. With `onpick(row)` a row is a
 * button. A row that stays is changed in its place: it keeps the focus, and a click that has begun.
 */
export function showBars(list, rows, onpick = null) {
  const fresh = rows.map((row) => barOf(row, onpick));
  [...list.children].slice(fresh.length).forEach((item) => item.remove());
  fresh.forEach((bar, n) => {
    const old = list.children[n]?.firstChild;
    if (!old) list.append(el("li", {}, bar));
    else if (old.dataset.word !== bar.dataset.word || old.tagName !== bar.tagName) old.replaceWith(bar);
    else takeOver(old, bar);
    list.children[n].firstChild.onclick = onpick && (() => onpick(rows[n]));
  });
}

function takeOver(old, bar) {
  for (const { name, value } of bar.attributes) old.setAttribute(name, value);
  old.replaceChildren(...bar.childNodes);
}

function barOf(row, onpick) {
  const lanes = row.lanes.map(({ kind, p }) => {
    const fill = el("i");
    fill.style.width = `${Math.max(0, Math.min(100, 100 * (p ?? 0)))}%`;
    return el("span", { class: `lane ${kind}` }, fill);
  });
  const said = row.lanes.map(({ name, p }) => `${name} ${percent(p)}`).join(", ");
  return el(onpick ? "button" : "div", {
    class: `bar${row.taken ? " taken" : ""}${row.cut ? " cut" : ""}`, role: onpick ? null : "img", title: said,
    "aria-label": `${label(row.word)}: ${said}${row.taken ? ", taken" : ""}`, "data-word": label(row.word),
  },
  el("span", { class: "word", text: label(row.word), dir: "auto" }),
  el("span", { class: "lanes", "aria-hidden": "true" }, lanes),
  el("span", { class: "percent", text: percent(row.lanes[0].p) }));
}

/** The same bars as a self-contained SVG. */
export function barsPicture(title, rows) {
  const colours = { model: "bar", after: "bar-2", truth: "bar-3" };
  const height = 34 + rows.length * 30;
  const picture = svg("svg", { viewBox: `0 0 520 ${height}` },
    svg("text", { x: 14, y: 20, fill: colour("ink"), text: title }));
  rows.forEach((row, n) => {
    const y = 34 + 30 * n;
    picture.append(svg("text", { x: 14, y: y + 14, fill: colour("ink"), text: label(row.word) }));
    row.lanes.forEach(({ kind, p }, lane) => picture.append(svg("rect", {
      x: 150, y: y + 3 + 8 * lane, width: 280 * (p ?? 0), height: 6, rx: 2,
      fill: colour(colours[kind]),
    })));
    picture.append(svg("text", {
      x: 440, y: y + 14, fill: colour("ink"), text: percent(row.lanes[0].p),
    }));
  });
  return picture;
}
