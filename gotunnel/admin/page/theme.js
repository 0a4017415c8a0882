// Light or dark: as the system has it, until somebody chooses.

import { remember, remembered } from "./words.js";

const KEY = "gotunnel.theme";
const THEMES = ["auto", "light", "dark"];

export function theme() {
  const name = remembered(KEY);
  return THEMES.includes(name) ? name : "auto";
}

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

export function nextTheme() {
  remember(KEY, THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  applyTheme();
}
