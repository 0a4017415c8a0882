// The latest events of the log, and a word to screen readers on the warnings among them that are new.

import { byId, make, write } from "./dom.js";
import { ago, moment } from "./format.js";
import { language, say, sayWord } from "./words.js";

const FEW = 40;
const QUIET = 10_000; // milliseconds between two words on new warnings
const CALM = ["info"];

export class Events {
  constructor() {
    this.section = byId("events");
    this.list = this.section.querySelector("ol");
    this.nothing = this.section.querySelector(".empty");
    this.events = [];
    this.level = "";
    this.heard = null; // when the latest event was that has been announced
    this.silentUntil = 0;
    const buttons = [...this.section.querySelectorAll("[data-level]")];
    for (const button of buttons) {
      button.addEventListener("click", () => {
        this.level = button.dataset.level;
        for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
        this.#draw();
      });
    }
  }

  /** These are the latest, the latest first; `words` are those of the search. Returns how many match. */
  show(events, words) {
    this.events = events;
    this.words = words;
    this.#announce();
    this.#draw();
    return this.matching;
  }

  #announce() {
    const latest = this.events[0]?.time ?? 0;
    if (this.heard === null) this.heard = latest; // what was there before is no news
    const fresh = this.events.filter((event) => event.time > this.heard && !CALM.includes(event.level));
    if (fresh.length === 0 || Date.now() < this.silentUntil) return;
    this.heard = latest;
    this.silentUntil = Date.now() + QUIET;
    byId("news").replaceChildren(make("p", {}, say("newEvents", { n: fresh.length, text: fresh[0].text })));
  }

  #draw() {
    const found = this.events.filter((event) => {
      if (this.level && CALM.includes(event.level)) return false;
      const text = `${event.text} ${sayWord("level", event.level)}`.toLowerCase();
      return (this.words ?? []).every((word) => text.includes(word));
    });
    this.matching = found.length;
    const now = Date.now() / 1000, drawn = JSON.stringify([language(), found]);
    this.list.hidden = found.length === 0;
    this.nothing.hidden = found.length > 0;
    write(this.nothing, say(this.events.length === 0 ? "emptyEvents" : "emptySearch"));
    if (this.drawn === drawn) {
      // Only they have grown older: what somebody has marked stays marked.
      [...this.list.children].forEach((line, index) => write(line.firstElementChild, ago(now - found[index].time)));
      return;
    }
    this.drawn = drawn;
    this.list.replaceChildren(...found.slice(0, FEW).map((event) => make("li", { class: CALM.includes(event.level) ? null : event.level },
      make("time", { datetime: new Date(event.time * 1000).toISOString(), title: moment(event.time) }, ago(now - event.time)),
      ...(CALM.includes(event.level) ? [] : [make("span", { class: `badge ${event.level === "warn" ? "warn" : "bad"}` }, sayWord("level", event.level))]),
      make("span", { class: "text" }, event.text))));
  }
}
