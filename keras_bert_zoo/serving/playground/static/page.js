// The page: choose a model, ask it, see the answer.

import { copy, el, fill, find } from "./dom.js";
import { Form } from "./form.js";
import { bodyOf, plan, template } from "./heads.js";
import { call, curlLine, modelPath, Refusal, signaturesIn } from "./server.js";
import { show } from "./showing.js";
import { followTheme } from "./theme.js";
import { followPointer, Reader } from "./tokens.js";

const AGAIN = 5_000; // milliseconds between two looks at which versions there are
const form = new Form(find("fields"));
const state = { model: "", choice: "", signature: "", signatures: {}, plan: null, asking: null, turn: 0 };
// What the page was built for: the version that answers, its model, and the form's shape.
Object.assign(state, { served: "", opened: "", shape: "" });

function refuse(error) {
  const hidden = error === null;
  find("error").hidden = hidden;
  if (hidden) return;
  const { title, message, hint } = error;
  const parts = [el("strong", {}, title), el("p", { class: "said" }, message)];
  fill(find("error"), ...parts, hint ? el("p", {}, hint) : null);
}

const say = (text) => fill(find("status"), text);

/** Put options [{value, label, disabled}] into a picker, and keep what is chosen where it is still there. */
function offer(picker, options, wanted) {
  const same = JSON.stringify(options);
  if (picker.dataset.options !== same) {
    picker.dataset.options = same;
    const made = options.map(({ value, label, disabled }) => {
      const option = el("option", { disabled }, label);
      option.value = value;
      return option;
    });
    fill(picker, ...made);
  }
  const usable = options.filter(({ disabled }) => !disabled);
  const found = usable.find(({ value }) => value === wanted) ?? usable[0];
  picker.value = found ? found.value : "";
  return picker.value;
}

/** Ask which models and versions there are.  What a later look finds out is not written over by an earlier one. */
async function look() {
  state.turn += 1;
  const mine = state.turn;
  const { models } = (await call("playground/models")).answer;
  if (mine !== state.turn) return;
  const names = models.map(({ name }) => ({ value: name, label: name }));
  const model = offer(find("model"), names, state.model);
  find("submit").disabled = !model;
  if (!model) {
    fill(find("about"), "There is no model yet. Export one: kbz export runs/mood");
    return;
  }
  const told = (await call(modelPath(model, ""))).answer.model_version_status ?? [];
  if (mine !== state.turn) return;
  const ready = told.filter((each) => each.state === "AVAILABLE").map((each) => String(each.version));
  const latest = [...ready].sort((a, b) => Number(b) - Number(a))[0];
  const labels = Object.entries(models.find(({ name }) => name === model).labels ?? {});
  const versions = [
    { value: "", label: latest ? `latest (${latest})` : "none available", disabled: !latest },
    ...labels.map(([label, version]) => ({ value: `labels/${label}`, label: `${label} (${version})` })),
    ...told.map(({ version, state: how }) => ({
      value: `versions/${version}`,
      label: how === "AVAILABLE" ? String(version) : `${version}: ${how.toLowerCase()}`,
      disabled: how !== "AVAILABLE",
    })),
  ];
  const choice = offer(find("version"), versions, model === state.model ? state.choice : "");
  const labelled = labels.find(([label]) => `labels/${label}` === choice);
  const served = [model, choice || latest, labelled?.[1]].join("/");
  const broken = told.filter((each) => each.status?.error_code && each.status.error_code !== "OK");
  fill(
    find("broken"),
    ...broken.map(({ version, status }) => el("p", {}, `Version ${version} cannot be loaded: ${status.error_message}`)),
  );
  if (served === state.served) return;
  const metadata = (await call(`${modelPath(model, choice)}/metadata`)).answer;
  if (mine !== state.turn) return;
  const same = model === state.opened;
  Object.assign(state, { model, choice, served, opened: model });
  open(metadata, same);
}

/** Read the chosen version's signatures, and build the form for one of them. */
function open(metadata, sameModel) {
  state.signatures = signaturesIn(metadata);
  const names = Object.keys(state.signatures);
  names.sort((a, b) => Number(b === "serving_default") - Number(a === "serving_default") || (a < b ? -1 : 1));
  state.signature = offer(find("signature"), names.map((name) => ({ value: name, label: name })), state.signature);
  find("signature-label").hidden = names.length < 2;
  const hash = new URLSearchParams({ model: state.model, ...(state.choice && { version: state.choice }) });
  history.replaceState(null, "", `#${hash}`);
  choose(sameModel);
}

/** Build the form for the chosen signature; a new version of the same model keeps what is written. */
function choose(keep) {
  const made = state.signatures[state.signature] ? plan(state.signatures, state.signature) : null;
  const shape = JSON.stringify([made, made?.columns ? null : state.signatures[state.signature]]);
  if (keep && shape === state.shape) return preview();
  Object.assign(state, { plan: made, shape });
  state.asking?.abort();
  clear();
  say("");
  if (!made) return fill(find("fields"));
  fill(find("about"), made.about);
  if (made.columns) {
    form.build(made.columns, {
      several: made.kind === "sentence_embedding",
      masks: ["masked_lm", "pretraining"].includes(made.kind),
    });
    if (made.samples.length) form.set(made.samples[0]);
  } else {
    form.buildByHand(template(state.signature, state.signatures[state.signature]));
  }
  const offered = made.samples.map((sample, i) => {
    const press = () => {
      form.set(sample);
      ask();
    };
    return el("button", { type: "button", class: "quiet small", on: { click: press } }, `Example ${i + 1}`);
  });
  fill(find("samples"), ...offered);
  preview();
}

/** Return the path and the body of the request that the form asks for. */
function request() {
  const { method } = state.signatures[state.signature];
  const examples = method === "classify" || method === "regress";
  const path = `${modelPath(state.model, state.choice)}:${examples ? method : "predict"}`;
  if (form.byHand) return { path, body: form.byHand.value.toWellFormed(), rows: null };
  const rows = form.rows();
  return { path, body: bodyOf(state.signature, state.plan, rows), rows };
}

function preview() {
  if (!state.plan) return;
  const { path, body } = request();
  fill(find("curl"), curlLine(path, body));
}

function clear() {
  refuse(null);
  fill(find("result"));
  fill(find("reading"));
  find("raw").hidden = true;
}

async function ask() {
  if (!state.plan) return;
  const empty = form.empty();
  if (empty) {
    say("Write something first.");
    empty.focus();
    return;
  }
  state.asking?.abort();
  const asking = new AbortController();
  state.asking = asking;
  const { kind, columns } = state.plan;
  const { outputs, method } = state.signatures[state.signature];
  const base = modelPath(state.model, state.choice);
  const { path, body, rows: asked } = request();
  preview();
  say("Asking…");
  refuse(null);
  find("answer").setAttribute("aria-busy", "true");
  try {
    const { answer, text, taken } = await call(path, body, asking.signal);
    clear();
    find("raw").hidden = false;
    fill(find("raw-text"), text);
    say(`Answered in ${taken < 10 ? taken.toFixed(1) : Math.round(taken)} ms.`);
    const reader = columns && "tokens" in state.signatures ? new Reader(base, columns, asking.signal) : null;
    show({ kind, answer, outputs, method, asked, columns, reader });
  } catch (error) {
    if (asking.signal.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    say("");
    fill(find("result"));
    fill(find("reading"));
    refuse(error);
    if (error.status === 404 || error.status === 0) lookAgain();
  } finally {
    if (state.asking === asking) find("answer").removeAttribute("aria-busy");
  }
}

async function lookAgain() {
  try {
    await look();
    find("gone").hidden = true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    fill(find("gone"), el("strong", {}, error.title), ` ${error.message}`);
    find("gone").hidden = false;
  }
}

function begin() {
  const hash = new URLSearchParams(location.hash.slice(1));
  Object.assign(state, { model: hash.get("model") ?? "", choice: hash.get("version") ?? "" });
  find("model").addEventListener("change", () => {
    Object.assign(state, { model: find("model").value, choice: "", signature: "" });
    lookAgain();
  });
  find("version").addEventListener("change", () => {
    state.choice = find("version").value;
    lookAgain();
  });
  find("signature").addEventListener("change", () => {
    state.signature = find("signature").value;
    choose(false);
  });
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  find("form").addEventListener("input", preview);
  find("form").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      ask();
    }
  });
  find("copy").addEventListener("click", async () => {
    const done = await copy(find("curl"));
    fill(find("copy"), done ? "Copied" : "Press Ctrl+C");
    setTimeout(() => fill(find("copy"), "Copy"), 2_000);
  });
  followTheme(find("theme"));
  followPointer();
  lookAgain();
  addEventListener("focus", lookAgain);
  setInterval(() => document.hidden || lookAgain(), AGAIN);
}

begin();
