// How figures and times look to a person.

import { locale, say } from "./words.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const LENGTHS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function number(value) {
  return value === null || value === undefined ? "" : new Intl.NumberFormat(locale()).format(value);
}

export function bytes(count) {
  if (count === null || count === undefined) return "";
  let value = count, unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value)} ${UNITS[unit]}`;
}

export function rate(count) {
  return `${bytes(count)}/s`;
}

/** A length of time in its two largest units. */
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "";
  let rest = Math.max(0, Math.floor(seconds));
  const first = LENGTHS.findIndex(([, size]) => rest >= size);
  if (first < 0) return say("second", { n: 0 });
  const words = [];
  for (const [unit, size] of LENGTHS.slice(first, first + 2)) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0 || words.length === 0) words.push(say(unit, { n }));
  }
  return words.join(" ");
}

/** A short time, in milliseconds where that reads better. */
export function short(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const small = seconds < 1;
  const value = small ? seconds * 1000 : seconds;
  return `${new Intl.NumberFormat(locale(), { maximumSignificantDigits: 3 }).format(value)} ${small ? "ms" : "s"}`;
}

export function ago(seconds) {
  return seconds < 1 ? say("now") : say("ago", { time: lasting(seconds) });
}

/** A moment, in full: `unix` is in seconds. */
export function moment(unix) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(unix * 1000);
}

/** When something began that has this age now. */
export function began(age) {
  return age === null || age === undefined ? "" : moment(Date.now() / 1000 - age);
}

export function day(unix) {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium" }).format(unix * 1000);
}

export function clock(unix) {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(unix * 1000);
}
