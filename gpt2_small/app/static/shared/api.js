// Ask the server: one answer, or lines of JSON as they come.

/** A refusal, with the server's sentence. */
export class Refused extends Error {}

let isAway = false;
const watchers = new Set();

/** Call `tell(isAway)` whenever the server stops or starts to answer. */
export function onAway(tell) {
  watchers.add(tell);
}

function setAway(away) {
  if (away === isAway) return;
  isAway = away;
  for (const tell of watchers) tell(away);
  if (away) tryAgain();
}

async function tryAgain() {
  while (isAway) {
    await new Promise((resolve) => setTimeout(resolve, 700));
    try {
      const response = await fetch("api/state", { cache: "no-store" });
      if (response.ok) setAway(false);
    } catch {
      // It is still away.
    }
  }
}

async function request(path, body, signal) {
  const options = { signal, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`api/${path}`, options);
  } catch (error) {
    if (error.name !== "AbortError") setAway(true);
    throw error;
  }
  setAway(false);
  if (!response.ok) {
    let message = `the server answered ${response.status}`;
    try {
      message = (await response.json()).error.message;
    } catch {
      // The answer had no sentence.
    }
    throw new Refused(message);
  }
  return response;
}

/** The JSON that answers a question. */
export async function ask(path, body, signal) {
  return (await request(path, body, signal)).json();
}

/** The bytes that answer a question. */
export async function askBytes(path, body, signal) {
  return (await request(path, body, signal)).arrayBuffer();
}

/** The objects of an answer, several at a time, as they come. */
export async function* lines(path, body, signal) {
  const response = await request(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      const items = parts.filter(Boolean).map((line) => JSON.parse(line));
      const failed = items.find((item) => item.error !== undefined);
      if (failed) throw new Refused(failed.error);
      if (items.length) yield items;
    }
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof Refused)) setAway(true);
    throw error;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** True for the error of a request that the user stopped. */
export function isStop(error) {
  return error.name === "AbortError";
}

/** The sentence for an error. */
export function sentence(error) {
  if (error instanceof Refused) return error.message;
  return "the connection to the server was lost";
}
