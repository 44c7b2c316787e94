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
  /** @type {Map<number, HTMLButtonElement>} */
  #buttons = new Map(); // by the class's id
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
    // Buttons stay where they are: the second click of a double click must find the button that the first one hit.
    const known = this.#buttons;
    this.#buttons = new Map(store.classes.map(({ id }) => [id, known.get(id) ?? this.#button(id)]));
    store.classes.forEach((entry, index) => this.#fill(entry, index));
    const buttons = [...this.#buttons.values()];
    if (buttons.length !== list.children.length || buttons.some((button, index) => button !== list.children[index])) {
      list.replaceChildren(...buttons);
    }
  }

  /**
   * Make the button of a class.
   * @param {number} id
   */
  #button(id) {
    const button = document.createElement("button");
    button.className = "class";
    button.type = "button";
    button.role = "radio";
    button.onclick = () => this.#editing.setClass(id);
    button.ondblclick = () => this.#rename(id);
    button.onkeydown = (event) => {
      if (event.key === "F2") this.#rename(id);
      else if (event.key === "Delete") this.#change({ type: "remove", id });
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    button.append(document.createElement("kbd"), document.createElement("span"));
    return button;
  }

  /**
   * Have a class's button say what it is now.
   * @param {Category} entry
   * @param {number} index
   */
  #fill({ id, name }, index) {
    const button = this.#buttons.get(id);
    if (!button) return;
    // A number key or a click on it changes the class of the active object, or of the next one.
    const checked = id === (this.#store.current?.category ?? this.#store.category);
    button.tabIndex = checked ? 0 : -1;
    button.setAttribute("aria-checked", String(checked));
    button.title = `${name}${index < 9 ? ` (${index + 1})` : ""}; double click to rename, Delete to remove`;
    find("kbd", HTMLElement, button).textContent = index < 9 ? String(index + 1) : "·";
    find("span", HTMLElement, button).textContent = name;
  }

  /**
   * Let a class's name be written anew in its button's place.
   * @param {number} id
   */
  #rename(id) {
    const button = this.#buttons.get(id), name = this.#store.className(id);
    if (!button?.isConnected) return;
    const input = document.createElement("input");
    input.value = name;
    input.maxLength = 80;
    input.setAttribute("aria-label", `New name of class ${name}`);
    let open = true;
    /** @param {boolean} save */
    const end = async (save) => {
      if (!open) return;
      open = false;
      const wanted = input.value.trim(), focused = document.activeElement === input;
      input.replaceWith(button);
      if (focused) button.focus();
      if (save && wanted && wanted !== name) await this.#change({ type: "rename", id, name: wanted });
      this.#store.changed(CLASSES);
    };
    input.onblur = () => end(true);
    input.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      else if (event.key === "Escape") end(false);
    };
    button.replaceWith(input);
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
