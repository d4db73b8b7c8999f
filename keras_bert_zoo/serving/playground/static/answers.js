// Answers as people want to see them: one function for each kind in heads.js.
//
// Each takes {rows, asked, columns, text}: the answers and the questions row by row, the columns' names, and
// `text(place, column, spans)`, which shows a text of row `place` with marks.

import { bars, byShare } from "./bars.js";
import { el, fill, percent } from "./dom.js";
import { masks } from "./masks.js";
import { cosines, cut } from "./words.js";

const HUES = 8;
const hues = new Map(); // label -> the color that it keeps, in the order in which labels are met
const hueOf = (label) => {
  if (!hues.has(label)) hues.set(label, hues.size % HUES);
  return hues.get(label);
};
const big = (...said) => el("p", { class: "big" }, ...said);
const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value));

function classification({ rows: [row] }) {
  const items = byShare(row.probabilities).map((i) => ({
    name: row.labels[i],
    share: row.probabilities[i],
    strong: row.labels[i] === row.label,
  }));
  return [big(row.label), bars(items, "Probabilities")];
}

function multiLabel({ rows: [row] }) {
  const items = byShare(row.probabilities).map((i) => ({
    name: row.labels[i],
    share: row.probabilities[i],
    strong: row.predicted[i],
    note: row.predicted[i] ? "✓ holds" : null,
  }));
  const holding = row.labels.filter((_, i) => row.predicted[i]);
  return [big(holding.length ? holding.join(", ") : "no label"), bars(items, "Probabilities")];
}

function classify({ rows: [row] }) {
  const order = byShare(row.map(([, score]) => score));
  const items = order.map((i, place) => ({ name: row[i][0], share: row[i][1], strong: place === 0 }));
  return [big(items[0]?.name ?? "no class"), bars(items, "Scores")];
}

const regression = ({ rows: [row] }) => [big(number(row.value))];
const regress = ({ rows: [row] }) => [big(number(row))];

function nextSentence({ rows: [row] }) {
  const share = row.probability;
  const items = [
    { name: "The second text follows", share, strong: share >= 0.5 },
    { name: "It does not", share: 1 - share, strong: share < 0.5 },
  ];
  return [bars(items, "Probabilities")];
}

function multipleChoice({ rows: [row], asked: [question] }) {
  const choices = question.choices.map((choice, i) => ({ choice, i, share: row.probabilities[i] ?? 0 }));
  const order = byShare(choices.map(({ share }) => share));
  const items = order.map((i) => ({
    name: choices[i].choice || "(empty)",
    share: choices[i].share,
    strong: i === row.choice,
    note: `choice ${i + 1}`,
  }));
  const best = row.choice < 0 ? "nothing to choose from" : question.choices[row.choice];
  return [big(best), bars(items, "Probabilities")];
}

function tokenClassification({ rows: [row], columns: [column], text }) {
  const spans = row.start.map((start, i) => ({
    start,
    end: row.end[i],
    label: row.label[i],
    hue: hueOf(row.label[i]),
    about: `${row.label[i]}, ${percent(row.score[i])}`,
  }));
  const found = row.start.flatMap((start, i) => (start >= 0 ? [i] : []));
  const shown = text(0, column, spans);
  if (!found.length) return [shown, el("p", { class: "hint" }, "Nothing was found in this text.")];
  const table = el(
    "table",
    {},
    el("thead", {}, el("tr", {}, ...["Entity", "Label", "Score", "Characters"].map((name) => el("th", { scope: "col" }, name)))),
    el(
      "tbody",
      {},
      ...found.map((i) =>
        el(
          "tr",
          {},
          el("td", {}, row.entity[i]),
          el("td", {}, el("span", { class: `tag hue-${hueOf(row.label[i])}` }, row.label[i])),
          el("td", { class: "figure" }, percent(row.score[i])),
          el("td", { class: "figure" }, `${row.start[i]} to ${row.end[i]}`),
        ),
      ),
    ),
  );
  return [shown, el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Entities" }, table)];
}

function questionAnswering({ rows: [row], asked: [question], text }) {
  const place = el("div");
  const list = el("div");
  const points = Array.from(question.context);
  const told = row.starts ?? [row.start];
  const ends = row.ends ?? [row.end];
  const scores = row.scores ?? [row.score];
  const real = told.flatMap((start, i) => (start >= 0 || scores[i] > 0 ? [i] : [])); // the rest is padding
  const show = (start, end, which) => {
    const spans = start >= 0 ? [{ start, end, label: null, hue: 0 }] : [];
    fill(place, text(0, "context", spans));
    const items = real.map((i) => ({
      name: told[i] >= 0 ? cut(points, told[i], ends[i]) : "(no answer)",
      share: scores[i],
      strong: told[i] === row.start && ends[i] === row.end,
      pressed: i === which,
      press: () => {
        show(told[i], ends[i], i);
        list.querySelectorAll("button")[real.indexOf(i)]?.focus();
      },
    }));
    const open = list.querySelector("details")?.open;
    fill(list, items.length > 1 ? bars(items, "Best answers") : null);
    if (open) list.querySelector("details").open = true;
  };
  show(row.start, row.end, told.findIndex((start, i) => start === row.start && ends[i] === row.end));
  const said = row.start >= 0 ? row.answer : "No answer in this context";
  const how = row.start >= 0 ? `${percent(row.score)}, characters ${row.start} to ${row.end}` : null;
  return [big(said), how && el("p", { class: "hint" }, how), place, list];
}

function sentenceEmbedding({ rows, asked, columns: [column], text }) {
  const likeness = cosines(rows.map((row) => row.embedding));
  const legend = el("ol", { class: "legend" }, ...asked.map((_, i) => el("li", {}, text(i, column, []))));
  const cell = (value, i, j) =>
    el("td", { class: i === j ? "figure self" : "figure", vars: { "--share": Math.max(0, value) } }, value.toFixed(3));
  const head = el("tr", {}, el("td"), ...rows.map((_, i) => el("th", { scope: "col" }, String(i + 1))));
  const body = likeness.map((line, i) => el("tr", {}, el("th", { scope: "row" }, String(i + 1)), ...line.map((v, j) => cell(v, i, j))));
  const table = el(
    "table",
    { class: "matrix" },
    el("caption", {}, "Cosine similarity"),
    el("thead", {}, head),
    el("tbody", {}, ...body),
  );
  const size = rows[0].embedding.length;
  const holder = el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Similarity matrix" }, table);
  const vectors = rows.map(({ embedding }, i) => {
    const first = embedding.slice(0, 4).map(number).join(", ");
    return el("li", {}, `Text ${i + 1}: length ${number(Math.hypot(...embedding))}, [${first}${size > 4 ? ", …" : ""}]`);
  });
  const details = el("details", {}, el("summary", {}, `Vectors of ${size} numbers`), el("ul", { class: "plain code" }, ...vectors));
  return [holder, legend, details];
}

const pretraining = (told) => [...masks(told), ...nextSentence(told)];

const VIEWS = {
  classification,
  classify,
  masked_lm: masks,
  multi_label: multiLabel,
  multiple_choice: multipleChoice,
  next_sentence: nextSentence,
  pretraining,
  question_answering: questionAnswering,
  regress,
  regression,
  sentence_embedding: sentenceEmbedding,
  token_classification: tokenClassification,
};

/** Return the elements that show an answer. */
export const view = (kind, told) => VIEWS[kind](told);
