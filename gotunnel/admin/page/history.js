// What was carried in the past, from the history that the process keeps in a file: bars, a sum in words, and who it was.
// Hidden where it keeps none.

import { ask } from "./ask.js";
import { byId, draw, make, write } from "./dom.js";
import { bytes, clock, day, moment, number } from "./format.js";
import { Table } from "./table.js";
import { say } from "./words.js";

const SPANS = { "24h": 1800, "7d": 14_400, "30d": 86_400, "365d": 604_800 }; // how long each bar is, in seconds
const AGAIN = 60_000; // milliseconds
const HEIGHT = 120;
const MARGIN = { top: 14, bottom: 18 };

export class History {
  constructor() {
    this.section = byId("history");
    this.span = "24h";
    this.asked = -Infinity;
    this.bars = { usage: [], since: 0, until: 0, step: 1 };
    this.rows = [];
    this.heading = make("h2", { id: "history-title" });
    this.legend = make("p", { class: "legend" });
    this.buttons = Object.keys(SPANS).map((span) => {
      const button = make("button", { type: "button" });
      button.addEventListener("click", () => {
        this.span = span;
        this.asked = -Infinity;
        this.speak();
        this.look();
      });
      return button;
    });
    this.choice = make("div", { class: "choice", role: "group" }, ...this.buttons);
    this.svg = draw("svg", { role: "img", "aria-labelledby": "history-text" });
    this.text = make("p", { id: "history-text", class: "quiet" });
    this.summary = make("summary");
    const inside = make("div"), heading = make("span");
    this.summary.append(heading);
    this.details = make("details", {}, this.summary, inside);
    this.section.setAttribute("aria-labelledby", "history-title");
    this.section.append(make("div", { class: "bar" }, this.heading, this.choice, this.legend), this.svg, this.text, this.details);
    this.table = new Table(inside, whose(heading));
    new ResizeObserver(() => this.#draw()).observe(this.svg);
  }

  speak() {
    write(this.heading, say("history"));
    this.choice.setAttribute("aria-label", say("spansShown"));
    Object.keys(SPANS).forEach((span, index) => {
      write(this.buttons[index], say(`span_${span}`));
      this.buttons[index].setAttribute("aria-pressed", String(span === this.span));
    });
    this.legend.replaceChildren(...["back", "toTargets"].map((word, index) => make("span", { class: `key line${index}` }, say(word))));
    this.table.speak();
    this.#draw();
  }

  /** Ask, if that was long ago. Raises Failed. */
  async look() {
    if (performance.now() - this.asked < AGAIN) return;
    this.asked = performance.now();
    const { span } = this;
    const [bars, rows] = [
      await ask(`v1/usage?by=total&since=${span}&step=${SPANS[span]}`),
      (await ask(`v1/usage?by=mapping&since=${span}`)).usage,
    ];
    if (span !== this.span) return; // somebody has chosen another one meanwhile
    this.section.hidden = false;
    Object.assign(this, { bars, rows });
    this.#draw();
  }

  /** Show what is searched for; returns how many match. */
  show(words) {
    return this.table.show(this.rows, words, false);
  }

  #draw() {
    const { usage, since, until, step } = this.bars;
    const width = Math.max(160, Math.round(this.svg.clientWidth || 320)), height = HEIGHT - MARGIN.top - MARGIN.bottom;
    const sum = (field) => usage.reduce((total, row) => total + row[field], 0);
    const top = 2 ** Math.ceil(Math.log2(Math.max(1024, ...usage.map((row) => row.up + row.down))));
    const count = Math.max(1, Math.ceil((until - since) / step)), wide = width / count;
    const bars = usage.flatMap((row) => {
      const x = Math.round((row.time - since) / step) * wide, [low, all] = [row.down, row.down + row.up].map((each) => (height * each) / top);
      const hover = `${moment(row.time)}: ${bytes(row.down)} ${say("back")}, ${bytes(row.up)} ${say("toTargets")}`;
      const box = (kind, from, to) => draw("rect", {
        class: kind, x: x + wide * 0.1, width: wide * 0.8, y: MARGIN.top + height - to, height: Math.max(0, to - from) },
        draw("title", {}, hover));
      return [box("bar0", 0, low), box("bar1", low, all)];
    });
    const base = MARGIN.top + height, short = step < 86_400 && until - since < 100_000;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(
      ...[MARGIN.top, base].map((y) => draw("line", { class: "grid", x1: 0, x2: width, y1: y, y2: y })), ...bars,
      draw("text", { x: 0, y: MARGIN.top - 4 }, usage.length ? bytes(top) : ""),
      draw("text", { x: 0, y: HEIGHT - 4 }, since ? (short ? clock : day)(since) : ""),
      draw("text", { x: width, y: HEIGHT - 4, "text-anchor": "end" }, say("axisNow")));
    write(this.text, usage.length === 0 ? say("historyNone") : say("historyText", {
      down: bytes(sum("down")), up: bytes(sum("up")), n: number(sum("streams")), failed: number(sum("failures")),
      peak: number(Math.max(...usage.map((row) => row.peak))) }));
    this.details.hidden = this.rows.length === 0;
    this.table.show(this.rows, this.table.words, false);
  }
}

function whose(heading) {
  const figure = (field, title, look) => ({
    id: field, title, figure: true, sort: (row) => row[field], cell: (row) => ({ text: look(row[field]) }) });
  return {
    id: "past", title: "historyBy", heading, key: (row) => JSON.stringify([row.client, row.mapping]),
    empty: () => say("historyNone"), actions: () => [],
    columns: [
      { id: "mapping", title: "mapping", sort: (row) => row.mapping, cell: (row) => ({ text: row.mapping }) },
      { id: "client", title: "client", sort: (row) => row.client, cell: (row) => ({ text: row.client }) },
      figure("streams", "visitors", number), figure("failures", "columnFailed", number), figure("peak", "columnPeak", number),
      figure("up", "columnUp", bytes), figure("down", "columnDown", bytes),
    ],
  };
}
