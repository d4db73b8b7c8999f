// The server's REST API, TensorFlow Serving's: paths, requests, and what goes wrong with them.

const MINUTE = 60_000;
const HINTS = {
  404: "The model or version may be gone: the lists above are up to date now.",
  408: "It took longer than the server allows.",
  413: "The request is larger than the server allows: shorten the text.",
  429: "The server is busy: try again in a moment.",
  503: "The server is busy or stopping: try again in a moment.",
  504: "It took longer than the server allows: shorten the text, or give the server more time.",
};

/** What went wrong, for people: a title, what the server said, and what to do. */
export class Refusal extends Error {
  constructor(title, said, status = 0) {
    super(said);
    this.title = title;
    this.status = status;
    this.hint = HINTS[status] ?? "";
  }
}

/** Return the path of a model; `choice` is "" for the latest version, or "versions/3", or "labels/stable". */
export function modelPath(model, choice) {
  const path = `v1/models/${encodeURIComponent(model)}`;
  const cut = choice.indexOf("/");
  return cut < 0 ? path : `${path}/${choice.slice(0, cut)}/${encodeURIComponent(choice.slice(cut + 1))}`;
}

/** Return an address of this server; behind a proxy the page may not live at its root. */
export const address = (path) => new URL(path, document.baseURI).href;

/** Ask, by POST where there is a body; return the answer and the milliseconds it took. */
export async function call(path, body = null, signal = null) {
  const limit = AbortSignal.timeout(2 * MINUTE);
  const began = performance.now();
  let response;
  let text;
  try {
    response = await fetch(address(path), {
      method: body === null ? "GET" : "POST",
      headers: body === null ? {} : { "Content-Type": "application/json" },
      body,
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error; // somebody asked for something else
    if (limit.aborted) throw new Refusal("No answer in two minutes", "The server took the request and said nothing.");
    throw new Refusal("The server does not answer", "Is it still running? Start it with: kbz serve saved_models/");
  }
  const taken = performance.now() - began;
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Refusal(`An answer that is no JSON (status ${response.status})`, text.slice(0, 500), response.status);
  }
  if (!response.ok || answer === null || typeof answer !== "object") {
    const said = typeof answer?.error === "string" ? answer.error : text.slice(0, 500);
    throw new Refusal(`The server refused this (status ${response.status})`, said, response.status);
  }
  return { answer, text, taken };
}

/** Return the signatures that a version's metadata tell: {name: {method, inputs, outputs}}, sorted by name. */
export function signaturesIn(metadata) {
  const told = metadata?.metadata?.signature_def?.signature_def ?? {};
  const found = {};
  for (const name of Object.keys(told).sort()) {
    if (name.startsWith("__")) continue; // TensorFlow's own
    const { inputs = {}, outputs = {}, method_name: method = "" } = told[name];
    found[name] = { method: method.split("/").pop() || "predict", inputs: specs(inputs), outputs: specs(outputs) };
  }
  return found;
}

function specs(tensors) {
  const found = {};
  for (const [name, { dtype, tensor_shape: shape }] of Object.entries(tensors)) {
    found[name] = { dtype, rank: shape?.unknown_rank ? null : (shape?.dim ?? []).length };
  }
  return found;
}

/** Return each row's answer as {output: value}; where there is one output, the API leaves its name out. */
export function rowsOf(answer, outputs) {
  const names = Object.keys(outputs);
  const named = (value) => (names.length === 1 ? { [names[0]]: value } : value);
  if (answer.predictions) return answer.predictions.map(named);
  const columns = named(answer.outputs);
  const rows = columns[names[0]].map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
  return rows;
}

/** Return a line for a POSIX shell that asks the same. */
export function curlLine(path, body) {
  const quoted = (text) => (/^[\w:/.%@~-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  return `curl ${quoted(address(path))} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(body)}`;
}
