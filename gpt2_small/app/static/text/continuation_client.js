// Continue the text from a node of the tree; one continuation at a time.

import { ask, isStop, lines, sentence } from "../shared/api.js";
import { store } from "../shared/token_tree.js";
import { ranked } from "./tokens.js";

/** Tells its listeners: `text` when the text changed, `state` when writing began or ended. */
class Writer extends EventTarget {
  isWriting = false;
  status = "";
  #control = null;

  /**
   * Continue the branch that ends at a node; `prompt` is a text to begin anew with. It counts as
   * writing from the call on.
   */
  async write(model, parent, { prompt } = {}) {
    this.stop();
    const control = new AbortController();
    this.#control = control;
    this.#tell(true, "Reading the prompt …");
    let written = 0;
    let finish = null;
    const began = performance.now();
    try {
      const asked = { ...store.options, model, conversation: store.conversation };
      if (prompt === undefined) asked.ids = [...store.prompt, ...tokensOf(parent)].map((t) => t.id);
      else asked.text = prompt;
      let head = null;
      for await (const items of lines("continue", asked, control.signal)) {
        control.signal.throwIfAborted();
        const rest = head ? items : items.slice(1);
        if (!head) {
          head = items[0];
          this.#begin(head, parent, prompt);
          if (prompt !== undefined) parent = 0;
        }
        const added = [];
        for (const token of rest) {
          added.push(ranked(token));
          parent = store.follow(parent, added.at(-1));
          finish = token.finish ?? finish;
        }
        written += rest.length;
        store.leaf = parent;
        const speed = written / ((performance.now() - began) / 1000);
        this.status = `Writing: ${written} tokens, ${speed.toFixed(0)} a second`;
        if (added.length) this.dispatchEvent(new CustomEvent("added", { detail: added }));
      }
      control.signal.throwIfAborted();
      this.#tell(false, ended(finish, written));
    } catch (error) {
      if (control !== this.#control) return;
      this.#tell(false, isStop(error) ? `Stopped after ${written} tokens.` : sentence(error));
    }
    store.keep();
    if (control === this.#control) await this.complete(model);
  }

  /** Stop writing; what was written stays. */
  stop() {
    this.#control?.abort();
  }

  /** Fill in ranks, the prompt's log-probabilities and the grammar's, which need the whole text. */
  async complete(model) {
    const tokens = store.tokens();
    if (!tokens.length) return;
    try {
      let position = 0;
      for await (const items of lines("scores", { model, ids: tokens.map((t) => t.id) })) {
        for (const item of items) {
          const token = tokens[position++];
          token.lp ??= item.lp;
          token.rank ??= item.rank;
          token.candidates ??= item.candidates;
          if (item.truth) Object.assign(token, pick(item, ["truth", "true_lp", "divergence"]));
        }
      }
    } catch {
      return; // the text stands without them
    }
    store.keep();
    this.dispatchEvent(new Event("text"));
  }

  #begin(head, parent, prompt) {
    if (prompt !== undefined) {
      // The same prompt once more: a new branch of the same tree.
      const isSame = String(head.tokens.map((token) => token.id)) === String(store.prompt.map((token) => token.id));
      if (!isSame) store.begin(prompt, head.tokens);
    } else {
      // The texts of single tokens depend on what stands before them: take the server's.
      const before = [...store.prompt, ...tokensOf(parent)];
      head.tokens.forEach((token, n) => Object.assign(before[n], pick(token, ["text", "token", "bytes"])));
    }
    store.leaf = prompt !== undefined ? 0 : parent;
    store.runs.push({ after: store.leaf, seed: head.seed, options: head.options });
    this.status = "Writing …";
    this.dispatchEvent(new Event("text"));
  }

  #tell(isWriting, status) {
    this.isWriting = isWriting;
    this.status = status;
    this.dispatchEvent(new Event("state"));
    if (!isWriting) this.dispatchEvent(new Event("text"));
  }
}

function tokensOf(leaf) {
  return store.path(leaf).map((node) => node.token);
}

function ended(finish, written) {
  if (finish === "stop") return `The text ended after ${written} tokens.`;
  return `Wrote ${written} tokens.`;
}

function pick(object, names) {
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}

export const writer = new Writer();

/** The tokens of a text. */
export async function tokenized(model, text) {
  return (await ask("tokens", { model, text })).tokens;
}
