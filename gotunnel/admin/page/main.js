// The page: asks, and shows what was answered.

import { acts } from "./acts.js";
import { ask, Failed, loggedIn, trust } from "./ask.js";
import { announce, Login } from "./dialogs.js";
import { byId, make, write } from "./dom.js";
import { Events } from "./events.js";
import { lasting, number, rate } from "./format.js";
import { History } from "./history.js";
import { most, Plot, Samples } from "./plot.js";
import { Poll } from "./poll.js";
import { Table } from "./table.js";
import { applyTheme, nextTheme, theme } from "./theme.js";
import { isWell, mappingsTable, sessionsTable, visitorsTable } from "./views.js";
import { otherLanguage, say, sayCheck, setLanguage, speak } from "./words.js";

const MOST_VISITORS = 500;
const MOST_EVENTS = 100;

const now = { session: null, status: null, visitors: [], events: [], eventsOf: null, heard: null, problems: false };
const samples = new Samples();
let tables = null;
let plots = null;
let before = null; // the counters of the answer before, and when it came

const doing = acts(() => now.session.role, (status) => (status === 401 || status === 403 ? enter() : poll.now()));
const events = new Events();
const past = new History();
const login = new Login(enter);
const poll = new Poll(look);

// Who we are to the process.

async function enter() {
  if (await meet()) await poll.now();
}

/** Ask who we are; returns whether that was answered. */
async function meet() {
  try {
    const was = loggedIn();
    now.session = await ask("session");
    trust(now.session.login);
    if (was && !now.session.login) announce(say("sessionOver"), true);
  } catch (failed) {
    if (!(failed instanceof Failed)) throw failed;
    return false;
  }
  now.locked = login.settle(now.session);
  if (now.locked) now.status = null;
  begin();
  byId("drain").hidden = !loggedIn();
  title();
  return true;
}

/** Make the tables and plots, which are those of the role. */
function begin() {
  if (tables !== null) return;
  const server = now.session.role === "server";
  const choice = make("div", { class: "choice", role: "group", "data-word-label": "statesShown" },
    ...[["all", false], ["problems", true]].map(([word, problems]) => {
      const button = make("button", { type: "button", "aria-pressed": String(!problems), "data-word": word });
      button.addEventListener("click", () => {
        now.problems = problems;
        for (const each of choice.children) each.setAttribute("aria-pressed", String(each === button));
        show();
      });
      return button;
    }));
  const heading = make("h2"), inside = make("div");
  const seen = make("details", { id: "visitors-seen" }, make("summary", {}, heading), inside);
  byId("visitors").setAttribute("aria-labelledby", "visitors-title");
  byId("visitors").append(seen);
  seen.addEventListener("toggle", () => seen.open && poll.now());
  tables = {
    sessions: new Table(byId("sessions"), sessionsTable(server, doing)),
    mappings: new Table(byId("mappings"), { ...mappingsTable(server, doing), tools: [choice] }),
    visitors: new Table(inside, { ...visitorsTable(doing), heading }),
  };
  plots = [
    new Plot(byId("plots"), {
      id: "traffic", title: "plotTraffic", look: rate,
      lines: [{ field: "down", word: "back" }, { field: "up", word: "toTargets" }],
      sum: (all) => {
        const { value, time } = most(all, "up", "down"), { up, down } = all.at(-1);
        return say("plotTrafficText", { up: rate(up), down: rate(down), most: rate(value), time });
      },
    }),
    new Plot(byId("plots"), {
      id: "people", title: "plotPeople", look: number, whole: true,
      lines: [{ field: "live", word: "visitors" }, { field: "sessions", word: server ? "clients" : "servers" }],
      sum: (all) => {
        const { value, time } = most(all, "live"), { live, pending } = all.at(-1);
        return say("plotPeopleText", { live: number(live), pending: number(pending), most: number(value), time });
      },
    }),
  ];
  speakAll();
}

// Asking.

async function look() {
  if (now.session === null && !(await meet())) return false;
  if (now.locked) return true; // there is nothing to ask before somebody logs in
  try {
    const status = await ask("v1/status");
    if (byId("visitors-seen").open) now.visitors = (await ask(`v1/streams?limit=${MOST_VISITORS}`)).streams;
    if (status.last_event !== now.eventsOf) {
      now.events = (await ask(`v1/events?limit=${MOST_EVENTS}`)).events;
      now.eventsOf = status.last_event;
    }
    if (status.history) await past.look(); // only where the process keeps one
    measure(status);
    now.status = status;
    now.heard = Date.now();
  } catch (failed) {
    if (!(failed instanceof Failed)) throw failed;
    return failed.status === 401 ? meet() : false;
  }
  show();
  return true;
}

/** Make rates of the counters. Those of a process that was started anew begin at nothing. */
function measure(status) {
  const { up, down, live } = status.counters, time = Date.now() / 1000, pid = status.role.pid;
  if (before !== null && before.pid !== pid) samples.clear();
  if (before !== null && before.pid === pid && time > before.time) {
    const span = time - before.time;
    const sessions = status.sessions.filter((each) => ["connected", "draining"].includes(each.state)).length;
    samples.add({
      time, live, pending: status.pending, sessions,
      up: Math.max(0, up - before.up) / span, down: Math.max(0, down - before.down) / span,
    });
  }
  before = { time, up, down, pid };
}

// Showing.

function show() {
  const status = now.status;
  if (status === null) return;
  title();
  const findings = status.findings.filter((each) => !each.ok);
  byId("findings").hidden = findings.length === 0;
  byId("findings").replaceChildren(...findings.map((each) => make("li", {}, make("strong", {}, sayCheck(each.check)), ` ${each.reason}`)));
  tiles(status);
  for (const plot of plots) plot.show(samples.all);
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean), acting = loggedIn();
  const mappings = now.problems ? status.mappings.filter((each) => !isWell(each)) : status.mappings;
  const found = [
    [tables.sessions.show(status.sessions, words, acting), status.sessions.length],
    [tables.mappings.show(mappings, words, acting, number(status.mappings.length)), mappings.length],
    [events.show(now.events, words), now.events.length],
  ];
  if (!byId("history").hidden) found.push([past.show(words), past.rows.length]);
  const { live } = status.counters, cut = live > MOST_VISITORS ? say("visitorsFirst", { n: number(MOST_VISITORS) }) : "";
  const visitors = tables.visitors.show(now.visitors, words, acting, `${number(live)} ${cut}`.trim());
  if (byId("visitors-seen").open) found.push([visitors, now.visitors.length]);
  const sum = (place) => found.reduce((total, each) => total + each[place], 0);
  write(byId("found"), words.length ? say("foundCount", { n: number(sum(0)), all: number(sum(1)) }) : "");
}

function title() {
  const { role, name } = now.session, status = now.status;
  const words = `${say(`role_${role}`)} ${name}`.trim();
  write(byId("title"), words);
  const word = status === null ? "" : status.role.draining ? "draining" : status.ready ? "ready" : "notReady";
  byId("verdict").hidden = word === "";
  byId("verdict").className = `badge ${word === "ready" ? "good" : word === "draining" ? "warn" : "bad"}`;
  write(byId("verdict"), word && say(word));
  document.title = word && word !== "ready" ? `${words}: ${say(word)}` : words;
  const about = status === null ? "" : say("about", {
    version: status.role.version, age: lasting(status.role.age), level: status.role.log_level });
  write(byId("about"), about);
}

function tiles(status) {
  const { sessions, mappings, counters, role } = status, last = samples.all.at(-1);
  const connected = sessions.filter((each) => each.state === "connected").length;
  const { used, limit } = role.descriptors;
  const found = [
    [say(role.role === "server" ? "clientsConnected" : "serversConnected"), number(connected), `/ ${number(sessions.length)}`],
    [say("mappingsOpen"), number(mappings.filter(isWell).length), `/ ${number(mappings.length)}`],
    [say("visitorsNow"), number(counters.live), status.pending ? say("waiting", { n: number(status.pending) }) : ""],
    [say("throughput"), last ? rate(last.up + last.down) : "–", ""],
    ...(used === null ? [] : [[say("descriptors"), number(used), `/ ${number(limit)}`]]),
  ];
  const place = byId("tiles");
  if (place.children.length !== found.length)
    place.replaceChildren(...found.map(() => make("div", { class: "card" }, make("dt"), make("dd", {}, make("span"), make("small")))));
  found.forEach(([word, value, more], index) => {
    const [dt, dd] = place.children[index].children;
    write(dt, word);
    write(dd.firstElementChild, value);
    write(dd.lastElementChild, more);
  });
}

/** Say that nobody answers, every second, for as long as that is so. */
function tellLost() {
  const place = byId("lost"), lost = poll.failures > 0;
  document.body.classList.toggle("stale", lost && now.heard !== null);
  if (!lost) {
    if (!place.hidden && byId("said").textContent === "") announce(say("connectedAgain"));
    place.hidden = true;
    return;
  }
  const pause = lasting(Math.max(0, Math.round((poll.due - Date.now()) / 1000)));
  const [words, figures] = place.firstElementChild.children;
  place.hidden = false;
  write(words, say("lost"));
  // An alert is read out whenever it changes: so these are for the eyes.
  write(figures, now.heard === null ? say("lostNext", { pause })
    : say("lostSince", { time: lasting((Date.now() - now.heard) / 1000), pause }));
}

// Words and colours.

function speakAll() {
  speak();
  write(byId("language"), otherLanguage() === "zh" ? "中文" : "English");
  byId("language").lang = otherLanguage() === "zh" ? "zh-CN" : "en";
  write(byId("theme"), say(`theme_${theme()}`));
  write(byId("foot"), say("foot"));
  if (tables === null) return;
  for (const each of [...Object.values(tables), ...plots, past]) each.speak();
  if (now.session !== null) login.settle(now.session);
  show();
}

byId("language").addEventListener("click", () => {
  setLanguage(otherLanguage());
  speakAll();
  now.eventsOf = null; // they come translated
  poll.now();
});
byId("theme").addEventListener("click", () => {
  nextTheme();
  write(byId("theme"), say(`theme_${theme()}`));
});
byId("search").addEventListener("input", show);
byId("drain").addEventListener("click", () => doing.drain());
byId("lost").querySelector("button").addEventListener("click", () => poll.now());
window.addEventListener("hashchange", () => login.byLink());

applyTheme();
speakAll();
setInterval(tellLost, 1000);
await poll.now();
await login.byLink();
