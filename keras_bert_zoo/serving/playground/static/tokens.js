// What BERT reads: the rows of tokens, and the pieces of each word when one points at it.

import { el, find, fill } from "./dom.js";
import { call } from "./server.js";
import { cut, keptWords, orderly, wordsIn } from "./words.js";

const AT_ONCE = 32; // words a request
const SHOWN = 3; // rows that are open at first
const FEW = 160; // tokens of a row that is open at first
const wordOf = new WeakMap(); // the element of a word, or of a part of it -> {word, reader}

/** Asks one version for tokens; `ranks` are its columns {name: rank}. */
export class Reader {
  constructor(path, ranks, signal) {
    Object.assign(this, { path, ranks, signal, known: new Map() });
  }

  /** Return the rows of tokens of each text row: [[{tokens, types}]]. */
  async read(rows) {
    const inputs = {};
    const widest = (name) => Math.max(...rows.map((row) => row[name].length));
    for (const [name, rank] of Object.entries(this.ranks)) {
      const pad = (list) => [...list, ...Array(widest(name) - list.length).fill("")];
      inputs[name] = rows.map((row) => (rank === 2 ? pad(row[name]) : row[name]));
    }
    const body = JSON.stringify({ signature_name: "tokens", inputs });
    const { outputs } = (await call(`${this.path}:predict`, body, this.signal)).answer;
    const found = rows.map(() => []);
    outputs.tokens.forEach((tokens, i) => {
      const length = tokens.findLastIndex((token) => token !== "") + 1;
      const row = { tokens: tokens.slice(0, length), types: outputs.type_ids[i].slice(0, length) };
      if (length) found[outputs.owner ? outputs.owner[i] : i]?.push(row);
    });
    return found;
  }

  /** Ask for the pieces of words: a word's are the same in every text, for BERT parts texts at spaces first. */
  async learn(words) {
    const asked = [...new Set(words)].filter((word) => !this.known.has(word));
    for (let i = 0; i < asked.length; i += AT_ONCE) {
      const part = asked.slice(i, i + AT_ONCE);
      const row = (word) => Object.entries(this.ranks).map(([name, rank]) => [name, rank === 2 ? [word] : word]);
      const found = await this.read(part.map((word) => Object.fromEntries(row(word))));
      part.forEach((word, place) => this.known.set(word, found[place].length ? firstText(found[place][0]) : []));
    }
  }

  async pieces(word) {
    await this.learn([word]);
    return this.known.get(word);
  }
}

const firstText = ({ tokens, types }) => tokens.slice(1, types.filter((type) => type === 0).length - 1);
const secondText = ({ tokens, types }) => tokens.slice(types.filter((type) => type === 0).length, -1);

/**
 * Show a text with marks over `spans` [{start, end, label, hue}], in code points; with a reader, words can be pointed at.
 *
 * Returns {node, words, elements}: the elements of each word.
 */
export function showText(text, spans = [], reader = null) {
  const points = Array.from(text);
  const words = wordsIn(points);
  const elements = words.map(() => []);
  const node = el("div", { class: "text", dir: "auto" });
  let word = 0;
  const put = (holder, start, end) => {
    let at = start;
    while (at < end) {
      while (word < words.length && words[word].end <= at) word += 1;
      const next = words[word];
      if (!next || next.start > at) {
        const until = Math.min(end, next ? next.start : end);
        holder.append(cut(points, at, until));
        at = until;
      } else {
        const until = Math.min(end, next.end);
        const made = el("span", { class: "word" }, cut(points, at, until));
        elements[word].push(made);
        wordOf.set(made, { word: next.word, reader });
        holder.append(made);
        at = until;
      }
    }
  };
  let at = 0;
  for (const { start, end, label, hue, about } of orderly(spans, points.length)) {
    put(node, at, start);
    const mark = el("mark", { class: `hue-${hue ?? 0}`, title: about });
    put(mark, start, end);
    if (label) mark.append(el("span", { class: "tag" }, label));
    node.append(mark);
    at = end;
  }
  put(node, at, points.length);
  if (reader && words.length) walkable(node, elements);
  return { node, words: words.map((each) => each.word), elements };
}

/** Let the arrow keys go from word to word; Tab comes to a text once, not to each of its words. */
function walkable(node, elements) {
  node.classList.add("readable");
  node.setAttribute("role", "group");
  node.setAttribute("aria-label", "Text; arrow keys go from word to word and tell its tokens");
  const stops = elements.map(([first]) => first);
  stops.forEach((stop, i) => stop.setAttribute("tabindex", i ? "-1" : "0"));
  node.addEventListener("keydown", (event) => {
    const here = stops.indexOf(document.activeElement);
    const there = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: stops.length - 1 }[event.key];
    if (here < 0 || there === undefined || !stops[there]) return;
    event.preventDefault();
    stops[here].setAttribute("tabindex", "-1");
    stops[there].setAttribute("tabindex", "0");
    stops[there].focus();
  });
}

/** Grey the words that the model never sees, where that can be told.  Returns how many of them there are. */
export async function greyCut(reader, columns, shown, rows) {
  let gone = 0;
  if (columns.length > 2 || !rows.length) return gone;
  for (const [place, { words, elements }] of shown.entries()) {
    const row = place ? secondText(rows[0]) : firstText(rows[0]);
    // A question stands before every window of its context; windows of one long text each hold another part.
    const alike = place === 0 && columns.length === 2 && rows.every((each) => firstText(each).join(" ") === row.join(" "));
    if (rows.length > 1 && !alike) continue;
    const kept = keptWords(await firstPieces(reader, words, row.length), row);
    if (kept === null) continue;
    elements.forEach((parts, i) => {
      const how = kept[i] ?? "none";
      if (how === "whole") return;
      gone += how === "none" ? 1 : 0;
      parts.forEach((element) => element.classList.add(how === "none" ? "cut" : "part"));
    });
  }
  return gone;
}

/** Return the pieces of each of the first words, until they are more than `length`, or all: a book is not asked about. */
async function firstPieces(reader, words, length) {
  const found = [];
  let count = 0;
  while (found.length < words.length && count <= length) {
    const next = words.slice(found.length, found.length + AT_ONCE);
    await reader.learn(next);
    found.push(...next.map((word) => reader.known.get(word)));
    count = found.flat().length;
  }
  return found;
}

const chip = (token, type) => {
  const special = /^\[(PAD|UNK|CLS|SEP|MASK)\]$/.test(token);
  return el("li", { class: `chip type-${type}${special ? " special" : ""}` }, token);
};

/** Show a text's rows of tokens as the model reads them; `name` tells of which text they are, "" where there is one. */
export function showRows(rows, name) {
  return rows.map(({ tokens, types }, i) => {
    const which = `${name}${rows.length > 1 ? `Row ${i + 1} of ${rows.length}: ` : ""}`;
    const open = i < SHOWN && tokens.length <= FEW;
    const made = el("details", { class: "tokens", open }, el("summary", {}, `${which}${tokens.length} tokens`));
    const put = () => made.append(el("ol", { class: "chips" }, ...tokens.map((token, place) => chip(token, types[place]))));
    if (open) put();
    else made.addEventListener("toggle", put, { once: true }); // a book has a hundred rows: nobody opens them all
    return made;
  });
}

/** Show the pieces of the word under the pointer, or the one that has the keyboard's focus. */
export function followPointer() {
  const tip = find("tip");
  let shown = null;
  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  };
  const show = async (element) => {
    const found = wordOf.get(element);
    if (!found?.reader || shown === element) return;
    hide();
    shown = element;
    let pieces;
    try {
      pieces = await found.reader.pieces(found.word);
    } catch {
      return; // the next question tells what is wrong with the server
    }
    if (shown !== element) return; // pointed at another word meanwhile
    const cutAway = element.classList.contains("cut") ? "beyond the longest row: the model does not see it" : null;
    const chips = pieces.length ? el("ol", { class: "chips" }, ...pieces.map((piece) => chip(piece, 0))) : "no token: dropped";
    fill(tip, chips, cutAway && el("p", { class: "hint" }, cutAway));
    tip.hidden = false;
    element.setAttribute("aria-describedby", "tip");
    put();
  };
  const put = () => {
    if (tip.hidden) return;
    const box = shown.getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(box.left, wide - tip.offsetWidth - 8));
    const above = box.top - tip.offsetHeight - 6;
    tip.style.setProperty("left", `${left}px`);
    tip.style.setProperty("top", `${above > 0 ? above : box.bottom + 6}px`);
  };
  const word = (target) => (target instanceof Element ? target.closest(".readable .word") : null);
  document.addEventListener("pointerover", (event) => (word(event.target) ? show(word(event.target)) : hide()));
  document.addEventListener("focusin", (event) => word(event.target) && show(word(event.target)));
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", put, true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}
