// Asks the operator himself: who he is, and whether he is sure. And tells him what came of it.

import { Failed, loggedIn, tell, trust } from "./ask.js";
import { byId, write } from "./dom.js";
import { say } from "./words.js";

const SHOWN = 8000; // milliseconds

let hiding = null;

/** Tell what came of something; `wrong` if nothing did. */
export function announce(text, wrong = false) {
  const place = byId("said");
  clearTimeout(hiding);
  place.className = wrong ? "bad" : "good";
  place.textContent = text;
  hiding = setTimeout(() => (place.textContent = ""), wrong ? 2 * SHOWN : SHOWN);
}

byId("confirm-no").addEventListener("click", () => byId("confirm").close("no"));

/** Ask whether he is sure; returns null, or {seconds} if a number was asked for. */
export function confirmed({ title, text, yes, number }) {
  const dialog = byId("confirm");
  write(byId("confirm-title"), title);
  write(byId("confirm-text"), text);
  write(byId("confirm-yes"), yes);
  byId("confirm-number").hidden = !number;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      const seconds = Math.min(86_400, Math.max(0, Number(byId("seconds").value) || 0));
      answer(dialog.returnValue === "yes" ? { seconds } : null);
    }, { once: true });
  });
}

/** The form with the token: in a dialog, or in the page where nothing can be read without it. */
export class Login {
  /** `changed()` is called when somebody is logged in, or out. */
  constructor(changed) {
    this.changed = changed;
    this.form = byId("login-form");
    this.dialog = byId("login-dialog");
    this.gate = byId("gate");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter({ token: byId("token").value });
    });
    byId("login").addEventListener("click", () => this.open());
    byId("login-cancel").addEventListener("click", () => this.dialog.close());
    byId("logout").addEventListener("click", () => this.#leave());
  }

  /** Put the form where it belongs; `session` is what the process says of us. */
  settle(session) {
    this.session = session;
    const locked = !session.readable && !session.login, opened = !this.gate.hidden && !locked;
    this.form.hidden = false;
    if (locked && this.dialog.open) this.dialog.close();
    const place = locked ? this.gate : this.dialog;
    if (this.form.parentElement !== place) place.append(this.form);
    this.gate.hidden = !locked;
    byId("shown").hidden = locked;
    byId("login-cancel").hidden = locked;
    byId("login").hidden = locked || Boolean(session.login);
    byId("logout").hidden = !session.login;
    byId("by-token").hidden = !session.by_token;
    this.form.querySelector(".main").hidden = !session.by_token;
    write(byId("login-why"), say(locked ? "loginWhyRead" : "loginWhy"));
    write(byId("login-cure"), say(session.by_token ? "loginCure" : "loginCureNoToken"));
    if (opened) byId("content").focus(); // what had the focus is gone
    return locked;
  }

  open() {
    write(byId("login-wrong"), "");
    this.dialog.showModal();
  }

  /** Use the link that led here, if one did; it is taken out of the address, and out of the browser's history. */
  async byLink() {
    const code = new URLSearchParams(location.hash.slice(1)).get("code");
    if (code === null) return;
    history.replaceState(null, "", location.pathname + location.search);
    if (!loggedIn()) await this.#enter({ code });
  }

  async #enter(wish) {
    try {
      const { login } = await tell("login", wish);
      trust(login);
      byId("token").value = "";
      write(byId("login-wrong"), "");
      if (this.dialog.open) this.dialog.close();
      announce(say("loggedIn"));
    } catch (failed) {
      if (!(failed instanceof Failed)) throw failed;
      const text = failed.status === 0 ? say("notAnswered") : failed.message;
      if ("code" in wish) announce(text, true);
      else {
        write(byId("login-wrong"), text);
        byId("token").select();
      }
      return;
    }
    await this.changed();
  }

  async #leave() {
    try {
      await tell("logout", {});
      trust(null);
      announce(say("loggedOut"));
    } catch (failed) {
      if (!(failed instanceof Failed)) throw failed;
      announce(failed.status === 0 ? say("notAnswered") : failed.message, true);
    }
    await this.changed();
  }
}
