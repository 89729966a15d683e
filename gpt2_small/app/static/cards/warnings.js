// Describe the faults of a model's attention.

import { el, label } from "../shared/dom.js";
import { AHEAD, UNLIKE, looksAhead } from "../drawing/head_descriptions.js";
import { mistakesOf } from "../shared/learner_file.js";

/**
 * The notes on a model: `heads` are the summaries of its heads, `ahead` the change of earlier logits
 * with the last token, `origins` the origins of the patterns.
 */
export function warnings({ heads, ahead, origins, tokens }) {
  return [aheadNote(heads, ahead, tokens), sumsNote(heads), unlikeNote(heads), ...originNotes(origins)].filter(Boolean);
}

function count(some, heads) {
  return some.length === heads.length ? `all ${heads.length} heads` : `${some.length} of ${heads.length} heads`;
}

function note(id, title, ...sentences) {
  return el("p", { class: "note warn", id }, el("b", { text: `${title} ` }), ...sentences);
}

function aheadNote(heads, ahead, tokens) {
  const some = heads.filter(looksAhead);
  if (!some.length && !ahead) return null;
  const sentences = [];
  if (some.length) sentences.push(`In ${count(some, heads)} a position attends to later ones (orange cells). `);
  if (ahead) sentences.push(`Changing the last token changes what the model predicts at “${label(tokens[ahead.position].token)}”, before it. `);
  return note("looks-ahead", "This model looks ahead.", ...sentences, "A GPT-2 must not: its causal mask is missing or wrong.");
}

function sumsNote(heads) {
  const some = heads.filter((head) => head.sums === null || head.sums > AHEAD);
  if (!some.length) return null;
  return note(null, "Rows that do not add up.", `In ${count(some, heads)} the weights of a position do not add up to 1: something changes them after the softmax.`);
}

function unlikeNote(heads) {
  const some = heads.filter((head) => head.unlike === null || head.unlike > UNLIKE);
  if (!some.length) return null;
  const naming = el("span", { id: "named-mistake" });
  mistakesOf("MultiHeadAttention", (text) => { naming.textContent = text; });
  return note("unlike", "Unlike the reference.", `On the same weights, ${count(some, heads)} (dashed frames) attend differently than the reference's. `, naming);
}

function originNotes(origins) {
  const notes = [];
  if (origins.has("probe")) notes.push(el("p", { class: "note small", text: "This file has no hook_pattern; its patterns were observed by giving its attention values that name their position." }));
  if (origins.has("weights")) notes.push(el("p", { class: "note warn small", text: "These patterns were computed from W_Q and W_K with a causal mask; the file's own could not be observed. A wrong mask would not show in them." }));
  return notes;
}
