// The form: a field for each text that a signature takes, or the whole request to write by hand.

import { el, fill } from "./dom.js";
import { fieldLabel } from "./heads.js";

const MOST = 32; // texts or choices in a list
const MASK = "[MASK]";

export class Form {
  /** `place` is the element that holds the fields. */
  constructor(place) {
    this.place = place;
    this.lists = {}; // the fields of each column, in order
    this.byHand = null;
  }

  /** Make the fields of `columns` {name: rank}; `several` asks for a list of texts, `masks` offers to put masks in. */
  build(columns, { several = false, masks = false } = {}) {
    this.byHand = null;
    this.several = several;
    this.ranks = columns;
    this.lists = {};
    this.holders = {};
    const made = [];
    for (const [name, rank] of Object.entries(columns)) {
      this.lists[name] = [];
      this.holders[name] = el("div", { class: "list" });
      made.push(several || rank === 2 ? this.list(name) : this.single(name, masks));
    }
    fill(this.place, ...made);
  }

  /** Ask for the request itself. */
  buildByHand(template) {
    this.lists = {};
    this.byHand = el("textarea", { id: "by-hand", rows: 8, spellcheck: "false", class: "code" });
    this.byHand.value = template;
    const why = "This signature takes more than texts: write the request itself, as JSON.";
    fill(
      this.place,
      el("div", { class: "field" }, el("label", { for: "by-hand" }, "Request"), el("p", { class: "hint" }, why), this.byHand),
    );
  }

  single(name, masks) {
    const field = el("textarea", { id: `field-${name}`, name, rows: name === "context" ? 6 : 2, dir: "auto" });
    this.lists[name].push(field);
    const insert = () => {
      field.setRangeText(MASK, field.selectionStart, field.selectionEnd, "end");
      field.focus();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const button = masks ? el("button", { type: "button", class: "quiet small", on: { click: insert } }, `Insert ${MASK}`) : null;
    const label = el("label", { for: field.id }, fieldLabel(name));
    return el("div", { class: "field" }, el("div", { class: "field-head" }, label, button), field);
  }

  list(name) {
    const what = this.ranks[name] === 2 ? "choice" : "text";
    this.more = el("button", { type: "button", class: "quiet small", on: { click: () => this.add(name, "", true) } }, `Add a ${what}`);
    this.more.dataset.list = name;
    const legend = el("legend", {}, this.ranks[name] === 2 ? fieldLabel(name) : "Texts");
    const set = el("fieldset", { class: "field" }, legend, this.holders[name], this.more);
    this.add(name, "");
    this.add(name, "");
    return set;
  }

  add(name, text, focus = false) {
    const fields = this.lists[name];
    if (fields.length >= MOST) return;
    const what = this.ranks[name] === 2 ? "Choice" : "Text";
    const field = el("textarea", { rows: 1, dir: "auto" });
    field.value = text;
    const row = el("div", { class: "row" }, field, el("button", { type: "button", class: "quiet small remove" }, "✕"));
    row.lastChild.addEventListener("click", () => {
      fields.splice(fields.indexOf(field), 1);
      row.remove();
      number();
      (fields.at(-1) ?? this.more).focus();
      this.place.dispatchEvent(new Event("input", { bubbles: true }));
    });
    const number = () => {
      fields.forEach((each, i) => {
        each.setAttribute("aria-label", `${what} ${i + 1}`);
        each.nextSibling.setAttribute("aria-label", `Remove ${what.toLowerCase()} ${i + 1}`);
        each.nextSibling.disabled = fields.length === 1;
      });
    };
    fields.push(field);
    this.holders[name].append(row);
    number();
    if (focus) {
      field.focus();
      this.place.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  /** Put an example into the fields. */
  set(sample) {
    for (const [name, fields] of Object.entries(this.lists)) {
      const value = this.several && !Array.isArray(sample[name]) ? [sample[name]] : sample[name];
      if (Array.isArray(value)) {
        fields.length = 0;
        fill(this.holders[name]);
        value.forEach((text) => this.add(name, text));
      } else {
        fields[0].value = value;
      }
    }
  }

  /** Return what is asked: a list of rows, each {column: text or list of texts}. */
  rows() {
    const read = Object.entries(this.lists).map(([name, fields]) => [name, fields.map(({ value }) => value.toWellFormed())]);
    if (this.several) {
      const count = Math.max(...read.map(([, texts]) => texts.length));
      return Array.from({ length: count }, (_, i) => Object.fromEntries(read.map(([name, texts]) => [name, texts[i] ?? ""])));
    }
    return [Object.fromEntries(read.map(([name, texts]) => [name, this.ranks[name] === 2 ? texts : texts[0]]))];
  }

  /** Return the first field with nothing in it but spaces, or null. */
  empty() {
    return Object.values(this.lists).flat().find(({ value }) => !value.trim()) ?? null;
  }

  /** Return the first field. */
  first() {
    return this.byHand ?? Object.values(this.lists)[0]?.[0] ?? null;
  }
}
