// An answer on the page: its view, what else can be told of the texts, and the server's own words.

import { view } from "./answers.js";
import { el, fill, find } from "./dom.js";
import { fieldLabel } from "./heads.js";
import { Refusal, rowsOf } from "./server.js";
import { greyCut, showRows, showText } from "./tokens.js";

/**
 * Show the answer to rows `asked`, {column: text or list of texts}; null where the request was written by hand.
 *
 * Throws a Refusal where the answer is not what the signature promises.
 */
export function show({ kind, answer, outputs, method, asked, columns, reader }) {
  if (!asked || kind === "other") {
    fill(find("result"), el("pre", { tabindex: "0", "aria-label": "answer" }, JSON.stringify(answer, null, 2)));
    return;
  }
  const shown = new Map(); // "row/column" -> what is on the page of that text
  const text = (place, column, spans) => {
    const made = showText(asked[place][column], spans, reader);
    shown.set(`${place}/${column}`, made);
    return made.node;
  };
  const rows = () => (method === "predict" ? rowsOf(answer, outputs) : answer.results);
  fill(find("result"), ...views(kind, rows, asked, text, columns));
  if (reader) read(reader, asked, columns, shown, text);
}

function views(kind, answered, asked, text, columns) {
  try {
    const rows = answered();
    if (rows.length !== asked.length) throw new RangeError(`${asked.length} rows asked, ${rows.length} answered`);
    return view(kind, { rows, asked, text, columns: Object.keys(columns) });
  } catch (error) {
    throw new Refusal("The answer is not what the signature promises", error.message);
  }
}

/** Show how BERT reads what was asked: the texts, with each word's tokens under the pointer, and the rows. */
async function read(reader, asked, columns, shown, text) {
  const names = Object.keys(columns);
  const strings = names.filter((name) => columns[name] === 1);
  const place = find("reading");
  const note = el("p", { class: "hint" }, "Point at a word, or go there with the arrow keys, to see its tokens.");
  fill(place, el("h3", {}, "As BERT reads it"), note, ...restOfTexts(asked, strings, shown, text));
  try {
    const rows = await reader.read(asked);
    if (reader.signal.aborted) return;
    if (rows.flat().some(({ types }) => types.includes(1))) note.append(" The second text's tokens are shaded.");
    place.append(...rows.flatMap((each, i) => showRows(each, asked.length > 1 ? `Text ${i + 1}: ` : "")));
    let gone = 0;
    for (const i of asked.keys()) {
      const made = strings.map((name) => shown.get(`${i}/${name}`));
      gone += await greyCut(reader, names, made, rows[i]);
    }
    const said = `Too long for a row of this model: ${gone} ${gone === 1 ? "word is" : "words are"} cut off, struck through here.`;
    if (gone && !reader.signal.aborted) note.after(el("p", { class: "cut-note" }, said));
  } catch (error) {
    if (reader.signal.aborted) return;
    place.append(el("p", { class: "hint" }, `Its tokens cannot be shown: ${error.message}`));
  }
}

/** Show the texts that the view does not show itself. */
function restOfTexts(asked, columns, shown, text) {
  const all = [...asked.keys()].flatMap((i) => columns.map((column) => [i, column]));
  return all
    .filter(([i, column]) => !shown.has(`${i}/${column}`))
    .flatMap(([i, column]) => {
      const name = asked.length > 1 ? `${fieldLabel(column)} ${i + 1}` : fieldLabel(column);
      return [el("h4", {}, name), text(i, column, [])];
    });
}
