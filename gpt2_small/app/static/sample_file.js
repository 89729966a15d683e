// The text at hand as a file, in the format of `gpt2-small sample --json`, and back.

import { Refused } from "./api.js";
import { store } from "./store.js";

const FORMAT = "gpt2-small-sample/1";

/** The tree as one object: a sample for the end of each branch, the shown one first. */
export function asSample() {
  const { state } = store;
  const parents = new Set([...store.nodes.values()].map((node) => node.parent));
  const ends = [...store.nodes.keys()].filter((number) => !parents.has(number));
  const shown = store.endOf(store.leaf);
  ends.sort((a, b) => (b === shown) - (a === shown) || a - b);
  const run = store.runs[0] ?? {};
  return {
    format: FORMAT,
    solution: state.solution,
    sha256: state.sha256,
    model: state.model,
    device: state.device,
    dtype: state.dtype,
    prompt: store.promptText,
    prompt_tokens: store.prompt.map((token) => token.id),
    options: { ...run.options, num_samples: Math.max(1, ends.length) },
    samples: (ends.length ? ends : [0]).map((end) => {
      const path = store.path(end);
      return {
        prompt: 0,
        text: path.map((node) => node.token.text).join(""),
        finish: path.length ? path.at(-1).token.finish ?? "interrupted" : "length",
        tokens: path.map(({ token }) => sampleToken(token)),
      };
    }),
  };
}

function sampleToken(token) {
  const written = {
    id: token.id,
    text: token.token,
    log_probability: token.lp ?? null,
    candidates: (token.candidates ?? []).map(([id, text, lp]) => ({ id, text, log_probability: lp })),
  };
  return token.kind ? { ...written, chosen_by_hand: true } : written;
}

/** Take over what such a file holds; branches that begin alike share their beginning. */
export function openSample(content) {
  if (content?.format !== FORMAT || !Array.isArray(content.samples)) {
    throw new Refused(`this file's format is ${JSON.stringify(content?.format)}, not ${FORMAT}`);
  }
  const { prompt, prompt_tokens } = content.prompts?.[0] ?? content;
  store.clear();
  store.promptText = String(prompt ?? "");
  store.prompt = (prompt_tokens ?? []).map((id) => piece({ id, text: "" }, "prompt"));
  store.runs = [{ after: 0, seed: content.options?.seed, options: content.options }];
  for (const sample of content.samples.filter((each) => !each.prompt)) {
    let parent = 0;
    for (const token of sample.tokens ?? []) {
      const known = store.children(parent).find((node) => node.token.id === token.id);
      parent = known?.number ?? store.add(parent, opened(token));
    }
    if (!store.leaf) store.leaf = parent;
  }
}

function opened(token) {
  const candidates = (token.candidates ?? []).map((c) => [c.id, c.text, c.log_probability]);
  const kind = token.chosen_by_hand ? "chosen" : undefined;
  return { ...piece(token, kind), lp: token.log_probability, candidates };
}

function piece({ id, text }, kind) {
  return { id, text: String(text), token: String(text), bytes: "", lp: null, kind };
}
