// Shares of 1 as bars.

import { el, percent } from "./dom.js";

const FEW = 8; // bars that are shown at once

/**
 * Show bars [{name, share, note, strong, press}] in their order; `press` makes a bar's name a button.
 *
 * Those beyond the first few open on demand.
 */
export function bars(items, label) {
  const made = items.map(({ name, share, note, strong, press, pressed }) => {
    const width = Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
    const title = press
      ? el("button", { type: "button", class: "name", "aria-pressed": String(Boolean(pressed)), on: { click: press } }, name)
      : el("span", { class: "name" }, name);
    return el(
      "li",
      { class: strong ? "bar strong" : "bar" },
      el("span", { class: "bar-head" }, title, note ? el("span", { class: "note" }, note) : null),
      el("span", { class: "share" }, percent(share)),
      el("span", { class: "track", "aria-hidden": "true", vars: { "--share": width } }),
    );
  });
  const holder = el("div", {}, el("ul", { class: "bars", "aria-label": label }, ...made.slice(0, FEW)));
  if (made.length > FEW) {
    const rest = el("ul", { class: "bars", "aria-label": `${label}, the rest` }, ...made.slice(FEW));
    holder.append(el("details", {}, el("summary", {}, `${made.length - FEW} more`), rest));
  }
  return holder;
}

/** Return the places of shares from the highest to the lowest; equal ones keep their order. */
export const byShare = (shares) => shares.map((_, i) => i).sort((a, b) => shares[b] - shares[a] || a - b);
