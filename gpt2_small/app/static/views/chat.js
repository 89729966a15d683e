// The view Chat: a conversation with a model that knows roles.

import { isStop, lines, sentence } from "../shared/api.js";
import { barsPicture, showBars } from "../drawing/bars.js";
import { card, el, help, label, percent, probability, save, saveButton, saveSvg, show, withCommands } from "../shared/dom.js";
import { store } from "../shared/token_tree.js";
import { TokenView, legend, ranked } from "../text/tokens.js";

const KEY = `gpt2-small-chat:${location.pathname}`;
const LENGTH = 200; // tokens of an answer, unless the options ask for more

/** The view; `model()` gives the key of the model that is asked. */
export class ChatView {
  constructor(model) {
    this.model = model;
    this.messages = [];
    this.element = el("div", { class: "stack" });
    this.shaded = true;
    this.#read();
  }

  /** Called when the view is shown. */
  enter() {
    if (!store.state.roles) {
      show(this.element, card("Chat", {}, el("p", { id: "no-roles" }, withCommands(`${store.state.no_roles}.`))));
      return;
    }
    if (this.list) return;
    this.list = el("div", { class: "messages", role: "log", "aria-label": "The conversation" });
    this.box = el("textarea", { id: "message", rows: 2, dir: "auto", placeholder: "Say something …", value: this.draft ?? "", onkeydown: (event) => this.#key(event) });
    this.send = el("button", { class: "main", text: "Send", onclick: () => this.#say() });
    this.stop = el("button", { class: "plain", text: "Stop", onclick: () => this.control?.abort() });
    this.undo = el("button", { class: "plain", text: "Undo", title: "Take the last message and its answer back", onclick: () => this.#undo() });
    this.retry = el("button", { class: "plain", text: "Retry", title: "Write the last answer again", onclick: () => this.#retry() });
    this.edit = el("button", { class: "plain", text: "Edit", title: "Change the last message", onclick: () => this.#edit() });
    this.status = el("span", { class: "muted small", role: "status" });
    this.bars = el("ul", { class: "bars" });
    this.saveRows = saveButton("SVG", () => saveSvg("candidates.svg", barsPicture(this.word.textContent, this.rows)));
    this.word = el("p", { class: "quoted" });
    this.hint = el("p", { class: "muted small", text: "Choose a token of an answer to see what else could have come." });
    const shading = el("label", { class: "check" }, el("input", { type: "checkbox", checked: true, onchange: (event) => this.#shade(event.target.checked) }), "Show probabilities");
    show(this.element, el("div", { class: "columns" },
      card("Conversation", { actions: [shading, el("button", { class: "quiet", text: "Save JSON", onclick: () => this.#save() })] },
        help("What is this?", "You and the model take turns. The model reads the whole conversation, as far as it fits, and writes the assistant's turn token by token, shaded by probability. Stop keeps what was written. Undo takes the last message and its answer back, Retry answers again with other random numbers, Edit lets you change your last message. The sampling options are those of Continue."),
        this.list, this.examples = el("div", { class: "actions examples" }), this.legend = legend(), el("div", { class: "composer" }, el("label", { class: "visually-hidden", for: "message", text: "Your message" }), this.box, this.send),
        el("div", { class: "actions" }, this.stop, this.undo, this.retry, this.edit, this.status)),
      el("div", { class: "sticky" }, card("What else could have come", { actions: [this.saveRows] }, this.word, this.bars, this.hint))));
    this.#draw();
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#say();
  }

  #say() {
    const text = this.box.value;
    if (this.isWriting || !text.trim()) return;
    this.box.value = "";
    this.messages.push({ role: "user", content: text });
    this.#answer();
  }

  #undo() {
    this.#takeBack();
    this.#draw();
    this.#keep();
  }

  #retry() {
    if (this.messages.at(-1)?.role === "assistant") this.messages.pop();
    if (this.messages.length) this.#answer();
  }

  #edit() {
    const text = this.#takeBack();
    this.box.value = text ?? "";
    this.#draw();
    this.#keep();
    this.box.focus();
  }

  /** Take the last message and its answer back, and give the message. */
  #takeBack() {
    if (this.messages.at(-1)?.role === "assistant") this.messages.pop();
    return this.messages.pop()?.content;
  }

  async #answer() {
    const control = new AbortController();
    this.control = control;
    this.isWriting = true;
    const asked = this.messages.map(({ role, content, ids }) => ({ role, content, ids }));
    const answer = { role: "assistant", content: "", ids: [], tokens: [] };
    this.messages.push(answer);
    this.#draw();
    this.#scrollToEnd();
    try {
      const length = Math.max(LENGTH, store.options.max_new_tokens ?? 0);
      const options = { ...store.options, max_new_tokens: length, model: this.model(), conversation: store.conversation };
      let isFirst = true;
      for await (const items of lines("chat", { ...options, messages: asked }, control.signal)) {
        const added = (isFirst ? items.slice(1) : items).map(ranked);
        if (isFirst) Object.assign(answer, { seed: items[0].seed, options: items[0].options });
        isFirst = false;
        answer.tokens.push(...added);
        answer.content += added.map((token) => token.text).join("");
        answer.ids.push(...added.filter((token) => token.finish !== "stop").map((token) => token.id));
        const follows = this.#isAtEnd();
        this.views.at(-1).add(added); // the views are made again when the shading changes
        if (follows) this.#scrollToEnd();
      }
      this.status.textContent = "";
    } catch (error) {
      this.status.textContent = isStop(error) ? "Stopped." : sentence(error);
      if (!answer.tokens.length) this.box.value = [this.#takeBack(), this.box.value].filter(Boolean).join("\n");
    }
    this.isWriting = false;
    this.#draw();
    this.#keep();
  }

  #draw() {
    const follows = this.#isAtEnd();
    this.views = [];
    show(this.list, this.messages.map((message) => {
      const who = el("span", { class: "visually-hidden", text: message.role === "user" ? "You: " : "The model: " });
      if (message.role === "user") return el("div", { class: "message user", dir: "auto" }, who, label(message.content));
      const view = new TokenView({ name: "The answer, token by token", onselect: (index) => this.#inspect(message, index) });
      view.show(message.tokens ?? [], this.shaded ? undefined : () => "");
      this.views.push(view);
      return el("div", { class: "message" }, who, view.element);
    }));
    const last = this.messages.at(-1);
    show(this.examples, last ? [] : this.#examples());
    this.send.disabled = this.isWriting;
    this.stop.disabled = !this.isWriting;
    for (const button of [this.undo, this.retry, this.edit]) button.disabled = this.isWriting || !last;
    this.views.at(-1)?.element.classList.toggle("caret", Boolean(this.isWriting));
    if (follows) this.#scrollToEnd();
  }

  /** Whether the end of the conversation is in sight, so that new tokens are followed. */
  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    return scrollHeight - scrollTop - clientHeight < 40; // about a line
  }

  #scrollToEnd() {
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** First messages that this model knows, to begin with one. */
  #examples() {
    const { examples } = store.state;
    if (!examples.length) return [];
    const begin = (text) => () => { this.box.value = text; this.#say(); };
    return ["This model knows few words. Ask, for example:", ...examples.map((text) => el("button", { class: "plain small", text, onclick: begin(text) }))];
  }

  #shade(isOn) {
    this.shaded = isOn;
    this.legend.hidden = !isOn;
    this.#draw();
  }

  #inspect(message, index) {
    const token = message.tokens[index];
    this.word.textContent = `“${label(token.token || token.text)}”  ${percent(probability(token.lp))}`;
    this.rows = token.candidates.map(([id, word, lp]) => ({ word: word || "the end of the turn", taken: id === token.id, lanes: [{ kind: "model", name: "probability", p: probability(lp) }] }));
    showBars(this.bars, this.rows);
    this.saveRows.disabled = false;
    this.hint.textContent = "";
  }

  #save() {
    const { state } = store;
    const content = {
      format: "gpt2-small-chat/1", solution: state.solution, sha256: state.sha256, model: state.model,
      messages: this.messages.map(({ role, content, seed, options, tokens }) => (role === "user" ? { role, content } : {
        role, content, seed, options,
        tokens: tokens.map((token) => ({ id: token.id, text: token.token, log_probability: token.lp, candidates: token.candidates.map(([id, text, lp]) => ({ id, text, log_probability: lp })) })),
      })),
    };
    save("chat.json", `${JSON.stringify(content, null, 1)}\n`, "application/json");
  }

  /** Called when the page is left: keep the conversation, an answer that is being written too. */
  leave() {
    this.control?.abort();
    this.#keep();
  }

  #keep() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.messages));
    } catch {
      sessionStorage.removeItem(KEY); // too large for the browser: a reload begins anew
    }
  }

  #read() {
    try {
      this.messages = JSON.parse(sessionStorage.getItem(KEY)) ?? [];
      const last = this.messages.at(-1);
      if (last?.role === "assistant" && !last.tokens.length) this.draft = this.#takeBack();
    } catch {
      this.messages = [];
    }
  }
}
