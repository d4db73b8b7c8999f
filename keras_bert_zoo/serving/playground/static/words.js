// Texts as BERT counts them: Unicode code points, where JavaScript's own strings count UTF-16 units.

// All that parts words for BERT's tokenizer.  JavaScript's \s is not it: it holds U+FEFF, which BERT drops.
const SPACE = /[\t\n\r\u2028\u2029\p{Zs}]/u;

/** Return the characters from `start` to before `end`, counted in code points. */
export const cut = (points, start, end) => points.slice(start, end).join("");

/** Return the words of a text's code points: [{word, start, end}]. */
export function wordsIn(points) {
  const found = [];
  let start = -1;
  for (let i = 0; i <= points.length; i += 1) {
    const space = i === points.length || SPACE.test(points[i]);
    if (space && start >= 0) {
      found.push({ word: cut(points, start, i), start, end: i });
      start = -1;
    } else if (!space && start < 0) {
      start = i;
    }
  }
  return found;
}

/** Return the spans that lie within the text, from left to right, without those that begin inside another. */
export function orderly(spans, length) {
  const kept = [];
  const inside = spans.filter(({ start, end }) => start >= 0 && start < end && end <= length);
  for (const span of inside.sort((a, b) => a.start - b.start)) {
    if (!kept.length || span.start >= kept.at(-1).end) kept.push(span);
  }
  return kept;
}

/**
 * Find the words that a row has no room for.
 *
 * `pieces` are those of each word, `row` those that the model reads of the text.  Returns for each word "whole",
 * "part" or "none"; null where the row is not what the words begin with, so that nothing can be said.
 */
export function keptWords(pieces, row) {
  const all = pieces.flat();
  if (row.length > all.length || row.some((piece, i) => piece !== all[i])) return null;
  let place = 0;
  return pieces.map(({ length }) => {
    const begins = place;
    place += length;
    if (place <= row.length) return "whole";
    return begins < row.length ? "part" : "none";
  });
}

/** Return the cosines of all pairs of vectors; of one without length, 0. */
export function cosines(vectors) {
  const lengths = vectors.map((vector) => Math.hypot(...vector));
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  return vectors.map((a, i) =>
    vectors.map((b, j) => (lengths[i] && lengths[j] ? dot(a, b) / (lengths[i] * lengths[j]) : 0)),
  );
}

/** Put a token in a mask's place: "##s" joins what stands before it. */
export function putIn(before, token) {
  const joins = token.startsWith("##") && token.length > 2;
  return { before: joins ? before.replace(/[\s\p{Zs}]+$/u, "") : before, token: joins ? token.slice(2) : token };
}
