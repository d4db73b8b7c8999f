// Elements.  A string always becomes a text node: nothing here, or anywhere on the page, reads markup.

/**
 * Make an element: el("p", {class: "hint", on: {click: f}, vars: {"--share": 0.5}}, "text", child, ...).
 * An attribute that is false, null or undefined is left out, one that is true is empty.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    } else if (name === "vars") {
      for (const [variable, number] of Object.entries(value)) made.style.setProperty(variable, String(number));
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value === true ? "" : String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const find = (id) => document.getElementById(id);

/** Replace all that an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

/** Say a share of 1 in percent; 0.9999 is not 100 %, and 0.0001 is not nothing. */
export function percent(share) {
  if (!Number.isFinite(share)) return "not a number";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${(100 * share).toFixed(1)} %`;
}

/** Put text on the clipboard, where a browser lets a page; return whether it did. */
export async function copy(element) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch {
      // Not allowed: the old way may be.
    }
  }
  getSelection().selectAllChildren(element); // at least Ctrl+C now does it
  return document.execCommand("copy");
}
