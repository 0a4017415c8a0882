// Asks the process that serves this page, and tells it to do something. Nothing else is ever asked.

import { language } from "./words.js";

const PATIENCE = 10_000; // milliseconds

/** A request that failed: `status` is HTTP's, 0 when nobody answered. */
export class Failed extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let csrf = "";

/** Remember what shows that it is this page that acts; null when nobody is logged in. */
export function trust(login) {
  csrf = login ? login.csrf : "";
}

export function loggedIn() {
  return csrf !== "";
}

async function exchange(path, more) {
  const address = `${path}${path.includes("?") ? "&" : "?"}lang=${language()}`;
  let response, answer;
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    response = await fetch(address, { cache: "no-store", credentials: "same-origin", redirect: "error", signal, ...more });
    answer = await response.json();
  } catch {
    throw new Failed("", 0); // no answer, or one that a proxy has made
  }
  if (!response.ok) throw new Failed(String(answer.error ?? response.status), response.status);
  return answer;
}

export function ask(path) {
  return exchange(path, {});
}

export function tell(path, wish) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
  return exchange(path, { method: "POST", headers, body: JSON.stringify(wish) });
}
