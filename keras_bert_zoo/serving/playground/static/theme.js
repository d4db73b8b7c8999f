// Light, dark, or as the system has it; remembered where the browser allows.

import { fill } from "./dom.js";

const THEMES = ["system", "light", "dark"];
const KEY = "keras-bert-zoo-theme";

export function followTheme(button) {
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    fill(button, `Theme: ${theme}`);
  };
  set(THEMES.includes(remembered()) ? remembered() : THEMES[0]);
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    set(next);
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // A browser that keeps nothing: the choice holds for this page.
    }
  });
}

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
