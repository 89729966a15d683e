// Follow the learner's file, which the server checks after every save.

import { lines, sentence } from "./api.js";
import { store } from "./token_tree.js";

let latest = null;
let isFollowed = false;
const followers = new Set();
const naming = new Map(); // part -> the follower that names its mistakes

/** Call `tell(state, problem)` now, if the file was checked before, and after every check. */
export function followFile(tell) {
  followers.add(tell);
  if (latest) tell(latest);
  follow();
}

/** Follow the learner's file as long as the page is open. */
async function follow() {
  if (isFollowed) return;
  isFollowed = true;
  for (;;) {
    try {
      for await (const states of lines("learn")) {
        latest = states.at(-1);
        for (const tell of followers) tell(latest);
      }
    } catch (error) {
      for (const tell of followers) tell(null, sentence(error));
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Report the mistake that `check` names for a part, once it is known; one listener for each part. */
export function mistakesOf(part, tell) {
  if (!store.state.learner) return;
  const look = (state) => {
    const found = state?.parts.find((each) => each.name === part);
    if (!found || found.state === "waiting") tell("check is looking for the mistake …");
    else if (found.mistakes.length) tell(`check names the mistake: ${found.mistakes.join(" and ")}. ${found.naming}`);
    else if (found.state === "failed") tell(`check finds it wrong too, but names no mistake: see Learn.`);
    else tell("check finds nothing wrong with the attention itself: see Learn for the other parts.");
  };
  followers.delete(naming.get(part));
  naming.set(part, look);
  followers.add(look);
  look(latest);
  follow();
}
