// The card of a text's branches: a tree that can be walked.

import { card, el, fixed, label, show } from "../shared/dom.js";
import { meanLoss } from "../text/tokens.js";
import { store } from "../shared/token_tree.js";

const WORDS = 14; // tokens of a branch that name it

/** The card; `onwalk(leaf)` is called for the branch that is chosen. */
export class Branches {
  constructor(onwalk) {
    this.onwalk = onwalk;
    this.tree = el("ul", { class: "tree" });
    this.element = card("Branches", {}, this.tree);
  }

  /** Show the tree, once it has a fork. */
  draw() {
    const childrenOf = new Map([[0, []]]);
    for (const node of store.nodes.values()) {
      if (!childrenOf.has(node.parent)) childrenOf.set(node.parent, []);
      childrenOf.get(node.parent).push(node);
    }
    this.element.hidden = ![...childrenOf.values()].some((children) => children.length > 1);
    if (this.element.hidden) return;
    const onPath = new Set(store.path().map((node) => node.number));
    const item = (node) => {
      const run = [node];
      while (childrenOf.get(run.at(-1).number)?.length === 1) run.push(childrenOf.get(run.at(-1).number)[0]);
      const last = run.at(-1);
      const children = childrenOf.get(last.number) ?? [];
      const isCurrent = onPath.has(node.number) && (children.length === 0 || store.leaf === last.number);
      return el("li", {}, this.#button(run, isCurrent), children.length ? el("ul", {}, children.map(item)) : null);
    };
    show(this.tree, childrenOf.get(0).map(item));
  }

  #button(run, isCurrent) {
    const words = run.slice(0, WORDS).map((node) => node.token.text).join("").trim();
    const size = el("small", { text: `${run.length} tokens, ${fixed(meanLoss(run.map((node) => node.token)), 2)} nats` });
    return el("button", {
      "aria-current": isCurrent ? "true" : null, onclick: () => this.onwalk(store.endOf(run.at(-1).number)),
    }, `${label(words)} … `, size);
  }
}
