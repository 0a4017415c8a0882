// Lines over the last ten minutes, drawn in SVG, with the same said in words and in a table: nobody has to see them.

import { draw, make, write } from "./dom.js";
import { clock, lasting } from "./format.js";
import { say } from "./words.js";

const LENGTH = 600; // seconds
const WINDOWS = [60, 120, 300, LENGTH]; // of which the least is drawn that holds all
const GAP = 60; // seconds without an answer, over which no line is drawn
const HEIGHT = 132;
const MARGIN = { top: 14, right: 8, bottom: 20, left: 8 };

/** Samples of the last ten minutes: {time, ...values}, with times in Unix seconds. */
export class Samples {
  constructor() {
    this.all = [];
  }

  add(sample) {
    this.all.push(sample);
    while (this.all.length && this.all[0].time < sample.time - LENGTH) this.all.shift();
  }

  clear() {
    this.all = [];
  }
}

/** `lines` are {field, word, dashed}; `look(value)` says a value, `sum(samples)` all of it. */
export class Plot {
  constructor(place, { id, title, lines, look, sum, whole }) {
    Object.assign(this, { id, title, lines, look, sum, whole });
    this.svg = draw("svg", { role: "img", "aria-labelledby": `${id}-text` });
    this.heading = make("h2", { id: `${id}-title` });
    this.legend = make("p", { class: "legend" });
    this.text = make("p", { id: `${id}-text`, class: "quiet" });
    this.summary = make("summary");
    this.figures = make("tbody");
    this.titles = make("tr");
    this.details = make("details", {}, this.summary, make("div", { class: "scroll" }, make("table", {},
      make("thead", {}, this.titles), this.figures)));
    this.details.addEventListener("toggle", () => this.#table());
    this.samples = [];
    place.append(make("figure", { class: "card", "aria-labelledby": `${id}-title` },
      make("div", { class: "bar" }, this.heading, this.legend), this.svg, make("figcaption", {}, this.text, this.details)));
    new ResizeObserver(() => this.#draw()).observe(this.svg);
  }

  speak() {
    write(this.heading, say(this.title));
    this.legend.replaceChildren(...this.lines.map(({ word }, index) => make("span", { class: `key line${index}` }, say(word))));
    write(this.summary, say("figures"));
    const words = ["", ...this.lines.map(({ word }) => say(word))];
    this.titles.replaceChildren(...words.map((word) => make("th", { scope: "col" }, word)));
    this.show(this.samples);
  }

  show(samples) {
    this.samples = samples;
    write(this.text, samples.length < 2 ? say("plotWait") : this.sum(samples));
    this.#draw();
    this.#table();
  }

  #draw() {
    const width = Math.max(160, Math.round(this.svg.clientWidth || 320)), samples = this.samples;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const inside = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
    const last = samples.at(-1)?.time ?? 0, past = last - (samples[0]?.time ?? 0);
    const window = WINDOWS.find((each) => each >= past) ?? LENGTH;
    const values = samples.flatMap((sample) => this.lines.map(({ field }) => sample[field]));
    const top = ceiling(Math.max(0, ...values), this.whole);
    const x = (time) => MARGIN.left + inside.width * (1 - (last - time) / window);
    const y = (value) => MARGIN.top + inside.height * (1 - value / top);
    const grid = [0, 0.5, 1].map((part) => draw("line", {
      class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(part * top), y2: y(part * top) }));
    const labels = [
      draw("text", { x: MARGIN.left, y: MARGIN.top - 4 }, values.length ? this.look(top) : ""),
      draw("text", { x: MARGIN.left, y: HEIGHT - 5 }, `−${lasting(window)}`),
      draw("text", { x: width - MARGIN.right, y: HEIGHT - 5, "text-anchor": "end" }, say("axisNow")),
    ];
    const paths = this.lines.map(({ field }, index) =>
      draw("path", { class: `line line${index}`, d: way(samples, (sample) => [x(sample.time), y(sample[field])]) }));
    this.svg.replaceChildren(...grid, ...paths, ...labels);
  }

  #table() {
    if (!this.details.open) return;
    const minutes = new Map();
    for (const sample of this.samples) {
      const minute = Math.floor(sample.time / 60);
      if (!minutes.has(minute)) minutes.set(minute, []);
      minutes.get(minute).push(sample);
    }
    this.figures.replaceChildren(...[...minutes].reverse().map(([minute, found]) => make("tr", {},
      make("th", { scope: "row" }, clock(minute * 60)),
      ...this.lines.map(({ field }) => make("td", { class: "figure" }, this.look(mean(found, field, this.whole)))))));
  }
}

function mean(samples, field, whole) {
  const sum = samples.reduce((total, sample) => total + sample[field], 0) / samples.length;
  return whole ? Math.round(sum) : sum;
}

/** The next round number above: of 1, 2, 5 with zeros, or of powers of two for bytes. */
function ceiling(value, whole) {
  if (value <= (whole ? 4 : 1024)) return whole ? 4 : 1024;
  if (!whole) return 2 ** Math.ceil(Math.log2(value));
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * size).find((step) => step >= value);
}

function way(samples, point) {
  let before = null;
  return samples.map((sample) => {
    const [x, y] = point(sample).map((each) => each.toFixed(1));
    const joined = before !== null && sample.time - before < GAP;
    before = sample.time;
    return `${joined ? "L" : "M"}${x} ${y}`;
  }).join("");
}

/** The most of a field, and over how long it was looked at. */
export function most(samples, ...fields) {
  const value = Math.max(...samples.flatMap((sample) => fields.map((field) => sample[field])));
  return { value, time: lasting(Math.round(samples.at(-1).time - samples[0].time)) };
}
