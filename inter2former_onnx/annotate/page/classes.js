// @ts-check
// The classes in the side panel, with their number keys: choosing, adding, renaming and removing them.

import { find } from "./dom.js";
import { CLASSES, DOCUMENT, STATUS } from "./topics.js";

/**
 * @import { Api } from "./api.js"
 * @import { Editing } from "./editing.js"
 * @import { Notes } from "./notes.js"
 * @import { Store } from "./store.js"
 * @import { Category, ClassChange } from "./types.js"
 */

export class ClassList {
  #store;
  #api;
  #editing;
  #notes;
  #list = find("#classes", HTMLElement);
  #newName = find("#new-class input", HTMLInputElement);

  /** @param {{store: Store, api: Api, editing: Editing, notes: Notes}} parts */
  constructor({ store, api, editing, notes }) {
    this.#store = store;
    this.#api = api;
    this.#editing = editing;
    this.#notes = notes;
    find("#new-class", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    this.#list.addEventListener("keydown", (event) => this.#moveInRadios(event));
    store.on([CLASSES, DOCUMENT, STATUS], () => this.#show());
    this.#show();
  }

  /**
   * Ask the server for a change.
   * @param {ClassChange} fields
   * @returns {Promise<boolean>}  whether it was made
   */
  async #change(fields) {
    try {
      const content = await this.#api.changeClasses(fields);
      this.#store.classes = content.classes;
      this.#store.changed(CLASSES);
      return true;
    } catch (error) {
      this.#notes.failed(error);
      return false;
    }
  }

  async #add() {
    const name = this.#newName.value.trim();
    if (!name) return;
    if (await this.#change({ type: "add", name })) {
      this.#newName.value = "";
      this.#editing.setClass(this.#store.classes[this.#store.classes.length - 1].id);
    }
  }

  #show() {
    const store = this.#store, list = this.#list;
    if (!store.classes.some((entry) => entry.id === store.category)) store.category = store.classes[0]?.id ?? 1;
    if (list.querySelector("input")) return; // one is being renamed
    const { activeElement } = document;
    const within = activeElement instanceof HTMLElement && list.contains(activeElement);
    const focused = within ? activeElement.dataset.id : null;
    list.replaceChildren(...store.classes.map((entry, index) => this.#button(entry, index)));
    if (focused) this.#focus(`[data-id="${focused}"]`);
  }

  /** @param {string} selector */
  #focus(selector) {
    const button = this.#list.querySelector(selector);
    if (button instanceof HTMLElement) button.focus();
  }

  /**
   * @param {Category} entry
   * @param {number} index
   */
  #button(entry, index) {
    const button = document.createElement("button");
    // A number key or a click on it changes the class of the active object, or of the next one.
    const checked = entry.id === (this.#store.current?.category ?? this.#store.category);
    button.className = "class";
    button.type = "button";
    button.role = "radio";
    button.dataset.id = String(entry.id);
    button.tabIndex = checked ? 0 : -1;
    button.setAttribute("aria-checked", String(checked));
    button.title = `${entry.name}${index < 9 ? ` (${index + 1})` : ""}; double click to rename, Delete to remove`;
    const key = document.createElement("kbd");
    key.textContent = index < 9 ? String(index + 1) : "·";
    const text = document.createElement("span");
    text.textContent = entry.name;
    button.append(key, text);
    button.onclick = () => this.#editing.setClass(entry.id);
    button.ondblclick = () => this.#rename(entry, button);
    button.onkeydown = (event) => {
      if (event.key === "F2") this.#rename(entry, button);
      else if (event.key === "Delete") this.#change({ type: "remove", id: entry.id });
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    return button;
  }

  /**
   * Let a class's name be written anew in its button.
   * @param {Category} entry
   * @param {HTMLButtonElement} button
   */
  #rename(entry, button) {
    const input = document.createElement("input");
    input.value = entry.name;
    input.maxLength = 80;
    input.setAttribute("aria-label", `New name of class ${entry.name}`);
    /** @param {boolean} save */
    const end = async (save) => {
      if (!input.isConnected) return;
      const name = input.value.trim();
      input.remove();
      if (save && name && name !== entry.name) await this.#change({ type: "rename", id: entry.id, name });
      this.#store.changed(CLASSES);
    };
    input.onblur = () => end(true);
    input.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      else if (event.key === "Escape") end(false);
    };
    button.replaceChildren(input);
    input.focus();
    input.select();
  }

  /** @param {KeyboardEvent} event */
  #moveInRadios(event) {
    const by = arrow(event.key), { target } = event;
    if (!by || !(target instanceof HTMLElement) || target instanceof HTMLInputElement) return;
    event.preventDefault();
    event.stopPropagation();
    const all = [...this.#list.querySelectorAll("button")];
    const next = all[(all.findIndex((button) => button === target) + by + all.length) % all.length];
    next.focus();
    next.click();
  }
}

/**
 * Say which way an arrow key leads in a row of radio buttons.
 * @param {string} key
 * @returns {1 | -1 | 0}  0 for other keys
 */
export function arrow(key) {
  if (key === "ArrowRight" || key === "ArrowDown") return 1;
  return key === "ArrowLeft" || key === "ArrowUp" ? -1 : 0;
}
