// Start the page: tabs, theme, the server's state.

import { ask, onAway, sentence } from "./shared/api.js";
import { ChatView } from "./views/chat.js";
import { CompareView } from "./views/compare.js";
import { ContinueView } from "./views/continue.js";
import { card, el, show } from "./shared/dom.js";
import { LearnView } from "./views/learn.js";
import { LookView } from "./views/look.js";
import { store } from "./shared/token_tree.js";
import { hideTip } from "./shared/tip.js";
import { writer } from "./text/continuation_client.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
const main = document.getElementById("view");
const notice = document.getElementById("notice");
let views = null;

/** The key of the model that the page asks. */
function model() {
  return store.state.models[0]?.key ?? "main";
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  for (const view of Object.values(views ?? {})) view.recolour?.();
}

function startTheme() {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const kept = localStorage.getItem("gpt2-small-theme");
  theme(kept ?? (system.matches ? "dark" : "light"));
  system.addEventListener("change", () => {
    if (!localStorage.getItem("gpt2-small-theme")) theme(system.matches ? "dark" : "light");
  });
  document.getElementById("theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("gpt2-small-theme", next);
    theme(next);
  });
}

/** Open the view that the address names; before the server's state is known, mark its tab alone. */
function open() {
  const known = tabs.map(viewOf);
  const [first] = known;
  const named = location.hash.slice(1);
  const fallback = store.state && !store.state.models.length ? "learn" : first;
  const view = known.includes(named) ? named : fallback;
  hideTip();
  for (const tab of tabs) {
    const isOpen = viewOf(tab) === view;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
    if (isOpen) {
      main.setAttribute("aria-labelledby", tab.id);
      tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }
  if (!views) return;
  show(main, views[view].element);
  views[view].enter();
}

function viewOf(tab) {
  return tab.hash.slice(1);
}

/** The link moves the focus; its address would name no view. */
function startSkipLink() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
}

/** The tabs are links, so that one that is chosen while the page still loads opens as well. */
function startTabs() {
  for (const tab of tabs) {
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, " ": 0 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
      next.focus();
      location.hash = next.hash;
    });
  }
  window.addEventListener("hashchange", open);
  open();
}

function say(text) {
  notice.textContent = text;
  notice.hidden = !text;
}

async function takeState() {
  store.state = await ask("state");
  const { models, problem } = store.state;
  document.getElementById("model-name").textContent = models[0]?.label ?? "";
  say(problem && models.length ? `${problem} – shown instead: ${models[0].label}.` : "");
}

function noModel() {
  const element = el("div", { class: "stack" }, card("No model yet", {},
    el("p", { text: `${store.state.problem ?? "There is no model."}` }),
    el("p", {}, "Train a small one in a few minutes: ", el("code", { text: "gpt2-small train --preset stories --out runs/stories" }), ", then ", el("code", { text: "gpt2-small app runs/stories" }), ".")));
  return { element, enter() {} };
}

/** Ask for the server's state until it comes: the server may be busy, or away, at first. */
async function firstState() {
  for (;;) {
    try {
      await takeState();
      return;
    } catch (error) {
      say(`${sentence(error)}; trying again …`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

async function start() {
  startTheme();
  startTabs();
  startSkipLink();
  onAway((isAway) => {
    document.getElementById("away").hidden = !isAway;
    if (!isAway && views) takeState().catch(() => {});
  });
  await firstState();
  const learn = new LearnView(async () => {
    await takeState();
    if (location.hash === "#look") views.look.enter();
  });
  views = store.state.models.length
    ? { continue: new ContinueView(model), look: new LookView(model), compare: new CompareView(), learn, chat: new ChatView(model) }
    : { continue: noModel(), look: noModel(), compare: noModel(), learn, chat: noModel() };
  open();
  window.addEventListener("pagehide", () => {
    writer.stop();
    store.keep();
    views.chat.leave?.();
  });
}

start();
