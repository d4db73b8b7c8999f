// Which kind of answer a signature gives, told by the names of its outputs; docs/playground.md has the same table.
// The first kind all of whose outputs are there is meant.

import { serialized } from "./example.js";

const KINDS = [
  {
    kind: "pretraining",
    outputs: ["tokens", "scores", "filled", "filled_pair", "probability"],
    about: "Fills each [MASK] in two texts, and says whether the second follows the first.",
    samples: [
      { text: "The capital of France is [MASK].", text_pair: "Many people [MASK] there every year." },
      { text: "She went to the [MASK] to buy bread.", text_pair: "The moon is [MASK] from here." },
    ],
  },
  {
    kind: "masked_lm",
    outputs: ["tokens", "scores", "filled"],
    about: "Says which tokens may stand where the text has [MASK].",
    samples: [
      { text: "The capital of France is [MASK]." },
      { text: "He put the [MASK] on the table and opened the [MASK]." },
    ],
  },
  {
    kind: "question_answering",
    outputs: ["answer", "start", "end", "score"],
    about: "Finds the answer to a question in a text.",
    samples: [
      {
        question: "Who wrote the play?",
        context: "The play was written by two sisters in 1921, in a kitchen in Kraków. It was first shown a year later.",
      },
      {
        question: "When does the library close?",
        context: "The library opens at nine. On weekdays it closes at six, on Saturdays already at noon.",
      },
    ],
  },
  {
    kind: "token_classification",
    outputs: ["entity", "label", "start", "end", "score"],
    about: "Marks names and other parts of a text.",
    samples: [
      { text: "Ada Lovelace was born in London and worked with Charles Babbage." },
      { text: "In March the European Union met Microsoft in Brussels 🇪🇺." },
    ],
  },
  {
    kind: "multi_label",
    outputs: ["labels", "probabilities", "predicted"],
    about: "Gives each label a probability of its own: none, one or several may hold.",
    samples: [
      { text: "A thin story, but wonderful actors." },
      { text: "The music stays with you for days." },
    ],
    pairs: [{ text: "A thin story, but wonderful actors.", text_pair: "What did you think of the film?" }],
  },
  {
    kind: "classification",
    outputs: ["labels", "probabilities", "label", "score"],
    about: "Chooses one label for a text.",
    samples: [{ text: "A film to keep." }, { text: "Two hours I will never get back." }],
    pairs: [
      { text: "A man is playing the piano.", text_pair: "Somebody makes music." },
      { text: "The shop opens at nine.", text_pair: "Nobody lives on the moon." },
    ],
  },
  {
    kind: "multiple_choice",
    outputs: ["choice", "probabilities"],
    about: "Chooses what goes best with a text.",
    samples: [
      {
        text: "She poured hot water over the leaves and waited.",
        choices: ["Then she drank her tea.", "Then she painted the wall.", "Then the train left."],
      },
      { text: "It began to rain.", choices: ["He opened his umbrella.", "He closed his umbrella."] },
    ],
  },
  {
    kind: "sentence_embedding",
    outputs: ["embedding"],
    about: "Turns texts into vectors; texts of like meaning have like vectors.",
    samples: [
      { text: ["A man plays the guitar.", "Someone makes music.", "The stock market fell today."] },
      { text: ["How do I reset my password?", "I forgot my login.", "Where is my parcel?", "My order has not arrived."] },
    ],
  },
  {
    kind: "next_sentence",
    outputs: ["probability"],
    about: "Says whether the second text follows the first.",
    samples: [
      { text: "She opened the door.", text_pair: "Nobody was there." },
      { text: "She opened the door.", text_pair: "Penguins cannot fly." },
    ],
  },
  {
    kind: "regression",
    outputs: ["value"],
    about: "Gives a text a value.",
    samples: [{ text: "A film to keep." }, { text: "Two hours I will never get back." }],
    pairs: [{ text: "A man is playing the piano.", text_pair: "Somebody makes music." }],
  },
];
const METHODS = {
  classify: { kind: "classify", about: "TensorFlow Serving's Classify: labels and scores." },
  regress: { kind: "regress", about: "TensorFlow Serving's Regress: one value." },
};
const LABELS = { text: "Text", text_pair: "Second text", question: "Question", context: "Context", choices: "Choices" };

export const fieldLabel = (column) => LABELS[column] ?? column;

/**
 * Say how a signature can be asked and shown.
 *
 * Returns {kind, about, columns, samples, form}: `columns` are {name: rank} of the texts it takes, null where it takes
 * anything else, so that its request has to be written by hand; `form` is how a request holds them, see `bodyOf`.
 */
export function plan(signatures, name) {
  const { method, inputs, outputs } = signatures[name];
  // These take examples, whose features are the columns of the signature that takes texts.
  const packed = method === "predict" && Object.keys(inputs).join() === "examples";
  const examples = (METHODS[method] || packed) && signatures.serving_default;
  const asked = examples ? signatures.serving_default.inputs : inputs;
  const ranks = Object.entries(asked).map(([column, { rank }]) => [column, rank]);
  const texts = Object.values(asked).every(({ dtype, rank }) => dtype === "DT_STRING" && (rank === 1 || rank === 2));
  const columns = texts && ranks.length ? Object.fromEntries(ranks.sort(inOrder)) : null;
  const known = KINDS.find((each) => each.outputs.every((output) => output in outputs));
  const meant = METHODS[method] ?? known ?? { kind: "other", about: "" };
  const like = known ?? KINDS.find((each) => each.kind === (method === "regress" ? "regression" : "classification"));
  const paired = columns !== null && "text_pair" in columns;
  const offered = (paired && like.pairs) || like.samples;
  const samples = columns ? offered.filter((sample) => Object.keys(columns).every((column) => column in sample)) : [];
  const about = columns || meant.kind !== "other" ? meant.about : "";
  const form = METHODS[method] ? "examples" : packed ? "serialized" : meant.kind === "other" ? "inputs" : "instances";
  return { kind: meant.kind, about, columns, samples, form };
}

const ORDER = Object.keys(LABELS);
const inOrder = ([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1);
const place = (column) => (ORDER.includes(column) ? ORDER.indexOf(column) : ORDER.length);

/** Return the body of a request for rows {column: text or list of texts}. */
export function bodyOf(name, { form, columns }, rows) {
  const named = name === "serving_default" ? {} : { signature_name: name };
  const column = (each) => rows.map((row) => row[each]);
  const held = {
    instances: () => ({ instances: rows }),
    examples: () => ({ examples: rows }),
    serialized: () => ({ inputs: { examples: rows.map((row) => ({ b64: serialized(row) })) } }),
    inputs: () => ({ inputs: Object.fromEntries(Object.keys(columns).map((each) => [each, column(each)])) }),
  };
  return JSON.stringify({ ...named, ...held[form]() });
}

/** Return a request's body with something of the right kind and shape for each input, to be changed by hand. */
export function template(name, { inputs }) {
  const made = {};
  for (const [input, { dtype, rank }] of Object.entries(inputs)) {
    let value = dtype === "DT_STRING" ? "text" : dtype === "DT_BOOL" ? true : dtype.startsWith("DT_INT") ? 1 : 0.5;
    for (let depth = 0; depth < (rank ?? 1); depth += 1) value = depth === 0 && rank > 1 ? [value, value] : [value];
    made[input] = value;
  }
  return JSON.stringify({ signature_name: name, inputs: made }, null, 2);
}
