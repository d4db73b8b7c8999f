// Masked tokens: the text filled in, and what may stand in each place, to choose from.

import { bars } from "./bars.js";
import { el, fill } from "./dom.js";
import { putIn } from "./words.js";

const MASK = "[MASK]";

export function masks({ rows: [row], asked: [question] }) {
  const found = row.tokens.map((tokens, i) => ({ tokens, scores: row.scores[i] })).filter(({ tokens }) => tokens.some(Boolean));
  const chosen = found.map(() => 0);
  const columns = Object.keys(question);
  const places = columns.reduce((sum, column) => sum + question[column].split(MASK).length - 1, 0);
  if (!places) return [el("p", { class: "hint" }, `Write ${MASK} where a token is to be found.`)];
  const texts = el("div", { class: "filled" });
  const lists = found.map(() => el("div", { class: "mask" }));
  const show = () => {
    fill(texts, ...(places === found.length ? filledIn(question, columns, found, chosen) : asServed(row)));
    lists.forEach((list, mask) => {
      const { tokens, scores } = found[mask];
      const items = tokens.map((token, i) => ({
        name: token,
        share: scores[i],
        strong: i === chosen[mask],
        pressed: i === chosen[mask],
        press: () => {
          chosen[mask] = i;
          show();
          list.querySelectorAll("button")[i].focus();
        },
      }));
      const title = found.length > 1 ? `Mask ${mask + 1}` : "In its place";
      fill(list, el("h4", {}, title), bars(items.filter(({ name }) => name), title));
    });
  };
  show();
  return [texts, el("div", { class: "masks" }, ...lists)];
}

function filledIn(question, columns, found, chosen) {
  let mask = 0;
  return columns.map((column) => {
    const line = el("p", { class: "text", dir: "auto" });
    const parts = question[column].split(MASK);
    parts.forEach((part, i) => {
      if (i === parts.length - 1) {
        line.append(part);
        return;
      }
      const { before, token } = putIn(part, found[mask].tokens[chosen[mask]]);
      line.append(before, el("mark", { class: "hue-0", title: `mask ${mask + 1}` }, token));
      mask += 1;
    });
    return line;
  });
}

/** Some masks are beyond what the model reads: show what the server made of it. */
const asServed = (row) => [
  ...[row.filled, row.filled_pair].filter(Boolean).map((text) => el("p", { class: "text", dir: "auto" }, text)),
  el("p", { class: "hint" }, "The text is longer than a row of this model: masks beyond it stay."),
];
