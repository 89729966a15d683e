// Describe an attention head, and its faults, in words.

import { fixed, percent } from "../shared/dom.js";

/** The largest weight on a later position, or distance of a row's sum from 1, that rounding explains. */
export const AHEAD = 1e-4;
/** The largest distance from the reference's head that rounding explains. */
export const UNLIKE = 1e-3;

const KINDS = {
  previous: "the token before", first: "the first token", itself: "itself",
  same: "earlier copies of itself", after: "what followed earlier copies of itself",
};
const SHORT = { previous: "previous", first: "first", itself: "itself", same: "copies", after: "induction" };
const NAMED = 0.3; // from this share of its weight on, a head is named by a place
const EVEN = 0.85;

function main(head) {
  const shares = Object.keys(KINDS).map((name) => [name, head.share[name] ?? 0]);
  return shares.sort((a, b) => b[1] - a[1])[0];
}

/** The tokens that a head attends to, in words: "mostly to the token before (90 % of its weight)". */
export function what(head) {
  const [name, share] = main(head);
  if (share >= NAMED) return `mostly to ${KINDS[name]} (${percent(share)} of its weight)`;
  if ((head.share.even ?? 0) > EVEN) return "to all tokens so far, evenly";
  return `to tokens chosen by their content (${KINDS[name]}: ${percent(share)})`;
}

/** The same as a short label. */
export function shortly(head) {
  const [name, share] = main(head);
  if (share >= NAMED) return `${SHORT[name]} ${Math.round(100 * share)}\u00a0%`;
  return (head.share.even ?? 0) > EVEN ? "evenly" : "by content";
}

/** True when a head attends to later positions. */
export function looksAhead(head) {
  return head.ahead === null || head.ahead > AHEAD;
}

/** A head's fault in words; empty without one. */
export function oddity(head) {
  if (!head.is_finite) return "it holds numbers that are not finite";
  if (head.ahead > AHEAD) return `it looks ahead (up to ${fixed(head.ahead, 2)})`;
  if (head.sums > AHEAD) return "its rows do not add up to 1";
  if (head.unlike > UNLIKE) return `it differs from the reference by up to ${fixed(head.unlike, 3)}`;
  return "";
}

/** A change with its sign. */
export function signed(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value).toFixed(digits);
  return Number(size) === 0 ? size : `${value < 0 ? "−" : "+"}${size}`;
}
