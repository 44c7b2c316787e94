// @ts-check
// The objects of the picture in the side panel: choosing, hiding and deleting them.

import { find } from "./dom.js";
import { CLASSES, DOCUMENT } from "./topics.js";

/**
 * @import { Editing } from "./editing.js"
 * @import { Store } from "./store.js"
 * @import { ShownObject } from "./types.js"
 */

export class ObjectList {
  #store;
  #editing;
  #list = find("#objects", HTMLElement);
  #count = find("#objects-title small", HTMLElement);
  #none = find("#no-objects", HTMLElement);
  #overlay = find("#overlay", HTMLElement);

  /** @param {{store: Store, editing: Editing}} parts */
  constructor({ store, editing }) {
    this.#store = store;
    this.#editing = editing;
    store.on([DOCUMENT, CLASSES], () => this.#show());
  }

  #show() {
    const objects = this.#store.document?.objects ?? [], list = this.#list;
    const { activeElement } = document;
    const focus = activeElement instanceof HTMLElement && list.contains(activeElement) ? activeElement.dataset : null;
    const sought = focus && `[data-id="${focus.id}"][data-does="${focus.does}"]`;
    list.replaceChildren(...objects.map((object, index) => this.#line(object, index)));
    if (sought) {
      const again = list.querySelector(sought);
      (again instanceof HTMLElement ? again : this.#overlay).focus({ preventScroll: true });
    }
    this.#none.hidden = objects.length > 0 || !this.#store.document;
    this.#count.textContent = String(objects.length || "");
    list.querySelector(".active")?.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {ShownObject} object
   * @param {number} index
   */
  #line(object, index) {
    const store = this.#store;
    const line = document.createElement("li");
    const hidden = store.hidden.has(object.id), active = object.id === store.active;
    line.className = `object ${active ? "active" : ""} ${hidden ? "hidden" : ""}`;
    const name = store.className(object.category);
    const choose = document.createElement("button");
    choose.className = "choose";
    choose.setAttribute("aria-pressed", String(active));
    choose.title = active ? "Clicks go to this object" : "Go on with this object";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${store.colour(object.id).join(" ")})`;
    const label = document.createElement("span");
    label.className = "label";
    label.textContent = `${index + 1}  ${name}`;
    const size = document.createElement("small");
    size.textContent = store.document && object.area ? `${shareText(object.area, store.document)} %` : "empty";
    choose.append(swatch, label, size);
    choose.onclick = () => this.#editing.select(active ? null : object.id);
    const show = hidden ? "Show" : "Hide";
    const eye = iconButton(hidden ? "hidden" : "eye", `${show} object ${index + 1}, ${name}`, () => {
      if (!store.hidden.delete(object.id)) store.hidden.add(object.id);
      store.changed(DOCUMENT);
    });
    const bin = iconButton("bin", `Delete object ${index + 1}, ${name}`, () => this.#editing.remove(object.id));
    for (const [does, button] of Object.entries({ choose, eye, bin })) {
      Object.assign(button.dataset, { id: object.id, does });
    }
    line.append(choose, eye, bin);
    return line;
  }
}

/**
 * Say how many percent of the picture an object covers.
 * @param {number} area  pixels of its mask
 * @param {{width: number, height: number}} picture
 */
export function shareText(area, { width, height }) {
  const percent = (100 * area) / (width * height);
  return percent < 1 ? percent.toFixed(2) : percent.toFixed(1);
}

/**
 * @param {string} icon  of the symbols in index.html
 * @param {string} label
 * @param {() => void} run
 */
function iconButton(icon, label, run) {
  const button = document.createElement("button");
  button.className = "icon";
  button.title = label;
  button.setAttribute("aria-label", label);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${icon}`);
  svg.append(use);
  button.append(svg);
  button.onclick = run;
  return button;
}
