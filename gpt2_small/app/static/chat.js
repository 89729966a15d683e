// The view Chat.

import { card, el, show } from "./dom.js";
import { store } from "./store.js";

/** The view. */
export class ChatView {
  constructor() {
    this.element = el("div", { class: "stack" });
  }

  /** Called when the view is shown. */
  enter() {
    if (!store.state.roles) {
      show(this.element, card("Chat", {}, el("p", {}, "This model was not trained on conversations: its tokenizer has no roles.")));
    }
  }
}
