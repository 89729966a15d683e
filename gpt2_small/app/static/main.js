// Start the page: tabs, theme, the server's state.

import { ask, onAway, sentence } from "./api.js";
import { ChatView } from "./chat.js";
import { CompareView } from "./compare.js";
import { ContinueView } from "./continue.js";
import { card, el, show } from "./dom.js";
import { LearnView } from "./learn.js";
import { LookView } from "./look.js";
import { store } from "./store.js";
import { hideTip } from "./tip.js";
import { writer } from "./writer.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
const main = document.getElementById("view");
const notice = document.getElementById("notice");
let views = {};

/** The key of the model that the page asks. */
function model() {
  return store.state.models[0]?.key ?? "main";
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  for (const view of Object.values(views)) view.recolour?.();
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

function open(name) {
  const view = views[name] ? name : "continue";
  hideTip();
  for (const tab of tabs) {
    const isOpen = tab.dataset.view === view;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
    if (isOpen) {
      main.setAttribute("aria-labelledby", tab.id);
      tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }
  show(main, views[view].element);
  views[view].enter();
}

function startTabs() {
  for (const tab of tabs) {
    tab.addEventListener("click", () => { location.hash = tab.dataset.view; });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
      next.focus();
      location.hash = next.dataset.view;
    });
  }
  window.addEventListener("hashchange", () => open(location.hash.slice(1)));
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

async function start() {
  startTheme();
  onAway((isAway) => {
    document.getElementById("away").hidden = !isAway;
    if (!isAway) takeState().catch(() => {});
  });
  try {
    await takeState();
  } catch (error) {
    say(sentence(error));
    return;
  }
  const learn = new LearnView(async () => {
    await takeState();
    if (location.hash === "#look") views.look.enter();
  });
  views = store.state.models.length
    ? { continue: new ContinueView(model), look: new LookView(model), compare: new CompareView(), learn, chat: new ChatView(model) }
    : { continue: noModel(), look: noModel(), compare: noModel(), learn, chat: noModel() };
  startTabs();
  open(location.hash.slice(1) || (store.state.models.length ? "continue" : "learn"));
  window.addEventListener("pagehide", () => writer.stop());
}

start();
