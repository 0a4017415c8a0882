// A table that is sorted by a click on a title, filtered by the search field, and filled anew with each answer, in which
// nothing moves that has not changed: what has the focus keeps it. On a narrow screen each row is a card (style.css).

import { make, write } from "./dom.js";
import { number } from "./format.js";
import { locale, say } from "./words.js";

const FEW = 50; // rows that are shown until somebody wants all
const SHORT = 24; // characters of a text that is not to be broken into lines

/**
 * `section` gets a title and a table. A column is {id, title, sort(row), cell(row)[, figure]}; a cell is {text} with
 * perhaps {badge, below, hover, also}; the search finds `also`. `actions(row)` returns buttons: {word, label, danger,
 * act}. `key(row)` tells rows apart.
 */
export class Table {
  constructor(section, { id, title, columns, key, actions, empty, tools, heading }) {
    Object.assign(this, { section, id, title, columns, key, actions, empty });
    this.sortedBy = columns[0].id;
    this.falling = false;
    this.all = false;
    this.rows = [];
    this.shown = new Map(); // by key, the row's element and its cells
    this.heading = heading ?? make("h2");
    this.heading.id = `${id}-title`;
    this.headWords = make("span");
    this.headCount = make("span", { class: "count" });
    this.heading.append(this.headWords, " ", this.headCount);
    this.sorting = make("select", { id: `${id}-sort` });
    this.sortLabel = make("label", { for: `${id}-sort` });
    const sorting = make("div", { class: "sorting" }, this.sortLabel, this.sorting);
    this.head = make("tr", { role: "row" });
    this.body = make("tbody", { role: "rowgroup" });
    this.table = make("table", { role: "table", "aria-labelledby": `${id}-title` },
      make("thead", { role: "rowgroup" }, this.head), this.body);
    this.nothing = make("p", { class: "empty" });
    this.more = make("button", { type: "button", class: "more" });
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.#refresh();
    });
    this.sorting.addEventListener("change", () => this.#sort(this.sorting.value, false));
    if (section.matches("section")) section.setAttribute("aria-labelledby", `${id}-title`);
    section.append(make("div", { class: "bar" }, ...(heading ? [] : [this.heading]), ...(tools ?? []), sorting),
      make("div", { class: "scroll" }, this.table), this.nothing, this.more);
  }

  /** Say the titles, in the language of now. */
  speak() {
    this.shown.clear();
    this.body.replaceChildren();
    this.head.replaceChildren(...this.columns.map((column) => {
      const button = make("button", { type: "button", class: "plain" }, say(column.title));
      button.addEventListener("click", () => this.#sort(column.id, this.sortedBy === column.id && !this.falling));
      return make("th", { role: "columnheader", scope: "col", class: column.figure && "figure" }, button);
    }));
    if (this.acting) this.head.append(make("td", { role: "cell" }));
    write(this.sortLabel, say("sortBy"));
    this.sorting.replaceChildren(...this.columns.map((column) => make("option", { value: column.id }, say(column.title))));
    this.#refresh();
  }

  /** Show these; `words` are those of the search, in lower case. `acting`: with buttons. Returns how many match. */
  show(rows, words, acting, count = number(rows.length)) {
    this.rows = rows;
    this.words = words;
    this.count = count;
    if (this.acting !== acting) {
      this.acting = acting;
      this.speak();
    } else {
      this.#refresh();
    }
    return this.matching;
  }

  #sort(id, falling) {
    this.sortedBy = id;
    this.falling = falling;
    this.#refresh();
  }

  #matches(row) {
    if (!this.words || this.words.length === 0) return true;
    const cells = this.columns.map((column) => column.cell(row));
    const text = cells.map((cell) => `${cell.text} ${cell.below ?? ""} ${cell.also ?? ""}`).join(" ").toLowerCase();
    return this.words.every((word) => text.includes(word));
  }

  #refresh() {
    const column = this.columns.find((each) => each.id === this.sortedBy);
    const collator = new Intl.Collator(locale(), { numeric: true });
    const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b)));
    const found = this.rows.filter((row) => this.#matches(row));
    found.sort((a, b) => (this.falling ? -1 : 1) * order(column.sort(a) ?? -1, column.sort(b) ?? -1));
    this.matching = found.length;
    const visible = this.all ? found : found.slice(0, FEW);
    write(this.headWords, say(this.title));
    write(this.headCount, this.count ?? "");
    [...this.head.children].forEach((cell, index) => {
      const by = this.columns[index]?.id === this.sortedBy;
      if (by) cell.setAttribute("aria-sort", this.falling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    if (this.sorting.value !== this.sortedBy) this.sorting.value = this.sortedBy;
    this.#fill(visible);
    this.table.hidden = visible.length === 0;
    this.section.querySelector(".sorting").hidden = visible.length < 2;
    this.nothing.hidden = visible.length > 0;
    write(this.nothing, this.rows.length === 0 ? this.empty() : say("emptySearch"));
    this.more.hidden = found.length <= FEW;
    write(this.more, this.all ? say("showFewer") : say("showAll", { n: number(found.length) }));
  }

  #fill(rows) {
    const keys = new Set(rows.map(this.key));
    for (const [key, line] of this.shown) {
      if (!keys.has(key)) {
        line.element.remove();
        this.shown.delete(key);
      }
    }
    const focused = document.activeElement;
    let place = this.body.firstElementChild;
    for (const row of rows) {
      const key = this.key(row);
      let line = this.shown.get(key);
      if (line === undefined) {
        line = this.#line();
        this.shown.set(key, line);
      }
      this.columns.forEach((column, index) => fill(line.cells[index], column.cell(row)));
      if (this.acting) this.#buttons(line, row);
      if (line.element === place) place = place.nextElementSibling;
      else this.body.insertBefore(line.element, place);
    }
    // A row that has moved has lost it.
    if (focused !== document.activeElement && this.body.contains(focused)) focused.focus({ preventScroll: true });
  }

  #line() {
    const cells = this.columns.map((column, index) => make(index === 0 ? "th" : "td", {
      role: index === 0 ? "rowheader" : "cell", scope: index === 0 ? "row" : null, class: column.figure && "figure",
      "data-title": say(column.title),
    }));
    const element = make("tr", { role: "row" }, ...cells);
    const line = { element, cells };
    if (this.acting) {
      line.acts = make("td", { role: "cell", class: "acts" });
      element.append(line.acts);
    }
    return line;
  }

  #buttons(line, row) {
    line.row = row;
    const wanted = this.actions(row);
    const said = JSON.stringify(wanted.map(({ word, label }) => [word, label]));
    if (line.said === said) return;
    const had = line.acts.contains(document.activeElement);
    line.said = said;
    line.acts.replaceChildren(...wanted.map(({ word, label, danger }, index) => {
      const button = make("button", { type: "button", class: danger ? "danger" : null, "aria-label": label }, word);
      button.addEventListener("click", () => this.actions(line.row)[index]?.act());
      return button;
    }));
    if (had) line.acts.firstElementChild?.focus({ preventScroll: true });
  }
}

function fill(element, cell) {
  const said = JSON.stringify(cell);
  if (element.dataset.said === said) return;
  element.dataset.said = said;
  const kind = cell.badge ? `badge ${cell.badge}` : cell.text.length <= SHORT ? "short" : null;
  const text = make("span", { class: kind, title: cell.hover }, cell.text);
  element.replaceChildren(text);
  if (cell.below) element.append(make("span", { class: "below" }, cell.below));
  element.classList.toggle("void", cell.text === "");
}
