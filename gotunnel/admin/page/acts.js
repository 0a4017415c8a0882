// What an operator can do here. Each asks whether he is sure, does it, and tells what came of it.

import { Failed, tell } from "./ask.js";
import { announce, confirmed } from "./dialogs.js";
import { say } from "./words.js";

/** `role()` is the one of the process; `after(status)` is called when something was done, or refused with a status. */
export function acts(role, after) {
  async function sure(question, path, wish, done) {
    const answer = await confirmed(question);
    if (answer === null) return;
    let status = 200;
    try {
      announce(done(await tell(path, wish(answer))));
    } catch (failed) {
      if (!(failed instanceof Failed)) throw failed;
      status = failed.status;
      announce(status === 0 ? say("notAnswered") : failed.message, true);
    }
    await after(status);
  }

  return {
    kick: (row) => {
      const server = role() === "server", name = row.name, n = row.streams;
      return sure(
        server
          ? { title: say("kickTitle", { name }), text: say("kickWhy", { n, name }), yes: say("kick") }
          : { title: say("leaveTitle", { name }), text: say("leaveWhy", { n }), yes: say("leave") },
        "v1/kick", () => (server ? { client: name } : { server: name }), ({ cut }) => say("kicked", { name, n: cut }));
    },

    switch: (row, on) => {
      const name = row.name, word = on ? "switchOn" : "switchOff";
      return sure({ title: say(`${word}Title`, { name }), text: say(`${word}Why`), yes: say(word) },
        "v1/mapping", () => ({ name, client: row.client, on }), () => say(on ? "switchedOn" : "switchedOff", { name }));
    },

    reset: (row) => {
      const name = row.visitor;
      return sure({ title: say("resetTitle", { name }), text: say("resetWhy", { mapping: row.mapping }), yes: say("reset") },
        "v1/kick", () => ({ stream: row.conn }), () => say("resetDone", { name }));
    },

    drain: () => {
      const text = say(role() === "server" ? "drainWhyServer" : "drainWhyClient");
      return sure({ title: say("drainTitle"), text, yes: say("drainDo"), number: true },
        "v1/drain", ({ seconds }) => ({ seconds }), ({ live }) => say("drainBegun", { n: live }));
    },
  };
}
