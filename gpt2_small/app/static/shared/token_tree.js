// The text at hand: a prompt and a tree of tokens that follow it. It outlives a reload.

const KEY = `gpt2-small:${location.pathname}`;
const KEPT_BYTES = 4_000_000;

/** Prompt, tree and options of this tab. */
export class Store {
  constructor() {
    this.state = null; // what the server says of itself
    this.options = { max_new_tokens: 60, temperature: 1 };
    this.draft = null;
    // Names this tab to the server, which keeps the cache of its text.
    this.conversation = crypto.randomUUID?.() ?? String(Math.random());
    this.clear();
    this.#read();
  }

  /** Begin a new text. */
  clear() {
    this.prompt = [];
    this.promptText = "";
    this.nodes = new Map(); // number -> {number, parent, token}
    this.leaf = 0; // 0 is the end of the prompt
    this.runs = []; // seed and options of each writing, with the node it began after
  }

  /** Begin a new text with a prompt of these tokens. */
  begin(prompt, tokens) {
    this.clear();
    this.promptText = prompt;
    this.prompt = tokens.map((token) => ({ ...token, lp: null, kind: "prompt" }));
  }

  /** Keep the beginning of the prompt; its other tokens become part of the tree, so that it can branch there. */
  shortenPrompt(length) {
    const firsts = this.children(0);
    let end = 0;
    for (const token of this.prompt.slice(length)) end = this.add(end, token);
    for (const node of firsts) node.parent = end;
    if (this.leaf === 0) this.leaf = end;
    this.prompt = this.prompt.slice(0, length);
    this.promptText = this.prompt.map((token) => token.text).join("");
  }

  /** The node of a token after a node: the one that is there, or a new one. */
  follow(parent, token) {
    const known = this.children(parent).find((node) => node.token.id === token.id);
    return known ? known.number : this.add(parent, token);
  }

  /** Add a token after a node and return its number. */
  add(parent, token) {
    const number = this.nodes.size ? Math.max(...this.#lastNumbers()) + 1 : 1;
    this.nodes.set(number, { number, parent, token });
    this.last = number;
    return number;
  }

  #lastNumbers() {
    return this.last ? [this.last] : this.nodes.keys();
  }

  /** The nodes from the prompt's end to a node. */
  path(leaf = this.leaf) {
    const found = [];
    for (let number = leaf; number; number = this.nodes.get(number).parent) {
      found.push(this.nodes.get(number));
    }
    return found.reverse();
  }

  /** Nodes that follow a node. */
  children(number) {
    return [...this.nodes.values()].filter((node) => node.parent === number);
  }

  /** The end of the branch that a node is on, always along the newest child. */
  endOf(number) {
    const newest = new Map();
    for (const node of this.nodes.values()) newest.set(node.parent, node.number);
    let end = number;
    while (newest.has(end)) end = newest.get(end);
    return end;
  }

  /** All tokens of the text at hand. */
  tokens() {
    return [...this.prompt, ...this.path().map((node) => node.token)];
  }

  /** Their ids. */
  ids() {
    return this.tokens().map((token) => token.id);
  }

  /** Keep everything for a reload; without the candidates where that would be too large. */
  keep() {
    const whole = this.#content((token) => token);
    let text = JSON.stringify(whole);
    if (text.length > KEPT_BYTES) {
      text = JSON.stringify(this.#content(({ candidates, ...token }) => token));
    }
    try {
      sessionStorage.setItem(KEY, text);
    } catch {
      sessionStorage.removeItem(KEY); // too large for the browser: a reload begins anew
    }
  }

  #content(slim) {
    return {
      options: this.options, draft: this.draft, promptText: this.promptText, leaf: this.leaf,
      runs: this.runs, prompt: this.prompt.map(slim),
      nodes: [...this.nodes.values()].map((node) => ({ ...node, token: slim(node.token) })),
    };
  }

  #read() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY));
      if (!kept) return;
      this.options = kept.options;
      this.draft = kept.draft;
      this.promptText = kept.promptText;
      this.prompt = kept.prompt;
      this.leaf = kept.leaf;
      this.runs = kept.runs;
      this.nodes = new Map(kept.nodes.map((node) => [node.number, node]));
      this.last = Math.max(0, ...this.nodes.keys());
    } catch {
      this.clear();
    }
  }
}

export const store = new Store();
