// The text at hand as a file, in the format of `gpt2-small sample --json`, and back.

import { Refused } from "../shared/api.js";
import { store } from "../shared/token_tree.js";
import { ranked } from "./tokens.js";

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

/**
 * Take over such a file; branches that begin alike share their beginning. `ask(what)` gives the
 * tokens of a text or of ids, as the model's tokenizer has them. The text at hand is replaced only
 * once all of the file is read. Gives a sentence on who wrote it, empty for the model that is shown.
 *
 * Throws Refused for a file of another kind, one that is damaged, and one of another tokenizer.
 */
export async function openSample(content, ask) {
  if (content?.format !== FORMAT || !Array.isArray(content.samples)) {
    throw new Refused(`this file's format is ${JSON.stringify(content?.format)}, not ${FORMAT}`);
  }
  const { prompt, prompt_tokens } = content.prompts?.[0] ?? content;
  const asked = Array.isArray(prompt_tokens) ? { ids: prompt_tokens } : { text: String(prompt ?? "") };
  const before = await ask(asked);
  const branches = [];
  for (const sample of content.samples.filter((each) => !each?.prompt)) {
    const tokens = tokensOf(sample, branches.length);
    const whole = await ask({ ids: [...before, ...tokens].map((token) => token.id) });
    const pieces = whole.slice(before.length);
    pieces.forEach((piece, n) => checkText(tokens[n], piece));
    branches.push(tokens.map((token, n) => ({ ...token, ...pieces[n] })));
  }
  store.begin(String(prompt ?? ""), before);
  store.runs = [{ after: 0, seed: content.options?.seed, options: content.options }];
  const ends = branches.map((tokens) => tokens.reduce((parent, token) => store.follow(parent, token), 0));
  store.leaf = ends[0] ?? 0;
  store.keep();
  const isOther = content.model !== store.state.model || content.sha256 !== store.state.sha256;
  return isOther ? `Opened. Its probabilities are those of ${content.model ?? "another model"}.` : "";
}

function tokensOf(sample, number) {
  if (!Array.isArray(sample?.tokens)) throw new Refused(`sample ${number + 1} of this file has no tokens`);
  return sample.tokens.map((token, n) => {
    const { id, text, log_probability: lp, candidates = [], chosen_by_hand } = token ?? {};
    const isWhole = Number.isInteger(id) && typeof text === "string" && Array.isArray(candidates) && (lp === null || Number.isFinite(lp));
    if (!isWhole) throw new Refused(`token ${n + 1} of sample ${number + 1} of this file lacks its id, text or log-probability`);
    const kind = chosen_by_hand ? "chosen" : undefined;
    return ranked({ id, token: text, lp, kind, rank: "over 10", candidates: candidates.map((c) => [c?.id, String(c?.text), c?.log_probability]) });
  });
}

function checkText(token, piece) {
  if (token.token === piece.token) return;
  throw new Refused(`token ${token.id} is ${JSON.stringify(token.token)} in this file and ${JSON.stringify(piece.token)} here: another tokenizer wrote it`);
}
