// @ts-check
// Everything by keyboard. The table is also what the help shows.

import { find } from "./dom.js";
import { DOCUMENT } from "./topics.js";

/**
 * @import { Editing } from "./editing.js"
 * @import { HelpDialog } from "./help.js"
 * @import { Painter } from "./painter.js"
 * @import { Pictures } from "./pictures.js"
 * @import { Pointer } from "./pointer.js"
 * @import { Store } from "./store.js"
 * @import { Point } from "./types.js"
 * @import { View } from "./view.js"
 */

/**
 * A line of the help.
 * @typedef {object} KeyEntry
 * @property {string[]} keys
 * @property {string[]} [short]  what the help shows in their place
 * @property {string} text
 * @property {(key: string) => void} [run]  left out for what is handled elsewhere
 */

const STEP = 12; // page pixels an arrow key moves the crosshair
const NAMES = new Map([["PageDown", "page down"], ["PageUp", "page up"], ["Escape", "esc"], ["=", "+"]]);
const PLACES = new Map([
  ["BracketLeft", "["], ["BracketRight", "]"], ["Comma", ","], ["Period", "."], ["Minus", "-"], ["Equal", "+"],
]);

export class Keyboard {
  #store;
  #editing;
  #pictures;
  #pointer;
  #painter;
  #view;
  #help;
  #previews = find("#preview", HTMLInputElement);
  /** @type {Map<string, (key: string) => void>} */
  #keys = new Map();

  /**
   * @param {{store: Store, editing: Editing, pictures: Pictures, pointer: Pointer, painter: Painter, view: View,
   *   help: HelpDialog}} parts
   */
  constructor({ store, editing, pictures, pointer, painter, view, help }) {
    this.#store = store;
    this.#editing = editing;
    this.#pictures = pictures;
    this.#pointer = pointer;
    this.#painter = painter;
    this.#view = view;
    this.#help = help;
    for (const { keys, run } of this.#table) {
      if (run) for (const key of keys) this.#keys.set(key.toLowerCase(), run);
    }
    help.fill(this.#table);
    document.addEventListener("keydown", (event) => this.#press(event));
    document.addEventListener("keyup", (event) => {
      if (event.key === " ") pointer.spaceHeld = false;
    });
  }

  /**
   * In the help's order.
   * @type {KeyEntry[]}
   */
  #table = [
    { keys: ["Click"], text: "add to the object, or begin one" },
    { keys: ["Right click", "Alt+Click"], text: "take away from the object" },
    { keys: ["Drag"], text: "move the picture, or a click" },
    { keys: ["Shift+Drag", "B"], text: "box around an object", run: () => this.#editing.setTool("box") },
    { keys: ["Double click"], text: "remove a click" },
    { keys: ["Wheel", "Pinch"], text: "zoom" },
    { keys: ["Arrows"], text: "crosshair (Shift: one pixel)" },
    { keys: ["Enter"], text: "click at the crosshair", run: () => this.#click(true) },
    { keys: ["Shift+Enter"], text: "take away at the crosshair", run: () => this.#click(false) },
    { keys: ["X"], text: "switch between add and remove", run: () => this.#switchTool() },
    { keys: ["N"], text: "next object", run: () => this.#editing.select(null) },
    { keys: ["[", "]"], text: "go through the objects", run: (key) => this.#cycle(key === "[" ? -1 : 1) },
    { keys: ["E"], text: "edit the object under the pointer", run: () => this.#editHere() },
    {
      keys: [..."123456789"],
      short: ["1", "–", "9"],
      text: "class of the object",
      run: (key) => this.#chooseClass(key),
    },
    { keys: ["Ctrl+Z", "U"], text: "undo", run: () => this.#editing.undo() },
    { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], text: "redo", run: () => this.#editing.redo() },
    { keys: ["Backspace"], text: "remove the last click", run: () => this.#removeLastClick() },
    { keys: ["R"], text: "take all clicks of the object back", run: () => this.#editing.reset() },
    { keys: ["Delete"], text: "delete the object", run: () => this.#remove() },
    { keys: ["H"], text: "hide or show all masks", run: () => this.#toggleAll() },
    { keys: ["P"], text: "preview on or off", run: () => this.#previews.click() },
    { keys: ["Page Down", "."], text: "next picture", run: () => this.#pictures.step(1) },
    { keys: ["Page Up", ","], text: "previous picture", run: () => this.#pictures.step(-1) },
    { keys: ["M"], text: "picture finished, go to the next", run: () => this.#pictures.toggleDone() },
    { keys: ["+", "-", "0"], text: "zoom in, out, own size", run: (key) => this.#zoom(key) },
    { keys: ["F"], text: "fit the picture", run: () => this.#pointer.fit() },
    { keys: ["Space+Drag"], text: "move the picture" },
    { keys: ["Esc"], text: "give up a drag, let go of the object", run: () => this.#escape() },
    { keys: ["?"], text: "this help", run: () => this.#help.open() },
  ];

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest("input:not([type=checkbox]), dialog[open]")) return;
    const onControl = event.target.closest("button, input, a");
    if (onControl && (event.key === "Enter" || event.key === " ")) return; // it is the control's
    if (event.key === " ") {
      this.#pointer.spaceHeld = true;
      event.preventDefault();
      return;
    }
    if (event.key.startsWith("Arrow") && !event.altKey && !event.ctrlKey && !event.metaKey) {
      if (event.target.closest("[role=radiogroup]")) return;
      if (!this.#store.document) return;
      this.#moveCursor(event.key, event.shiftKey ? 1 : Math.max(1, Math.round(STEP / this.#view.scale)));
      event.preventDefault();
      return;
    }
    const name = chords(event).find((each) => this.#keys.has(each));
    if (name === undefined) return;
    event.preventDefault();
    this.#keys.get(name)?.(name);
  }

  /**
   * Move the crosshair.
   * @param {string} key  an arrow
   * @param {number} step  pixels of the picture
   */
  #moveCursor(key, step) {
    const painter = this.#painter, view = this.#view;
    const { x, y } = painter.cursor ?? this.#start();
    const byX = key === "ArrowLeft" ? -step : key === "ArrowRight" ? step : 0;
    const byY = key === "ArrowUp" ? -step : key === "ArrowDown" ? step : 0;
    /** @type {(value: number, size: number) => number} */
    const clamp = (value, size) => Math.min(Math.max(Math.floor(value), 0), size - 1) + 0.5;
    painter.cursor = { x: clamp(x + byX, view.imageWidth), y: clamp(y + byY, view.imageHeight) };
    view.reveal(painter.cursor.x, painter.cursor.y);
    this.#editing.clearPreview();
    painter.request(true);
    this.#pointer.rest(painter.cursor.x, painter.cursor.y, this.#store.tool !== "remove");
  }

  /**
   * Where the crosshair appears: at the pointer if that is over the picture, otherwise in the middle of what is seen.
   * @returns {Point}
   */
  #start() {
    const view = this.#view, { last } = this.#pointer;
    const [x, y] = last ? view.toImage(last.x, last.y) : [-1, -1];
    if (view.contains(x, y)) return { x, y };
    const [middleX, middleY] = view.toImage(view.width / 2, view.height / 2);
    return { x: middleX, y: middleY };
  }

  /** @param {boolean} positive */
  #click(positive) {
    const store = this.#store, { cursor } = this.#painter;
    if (cursor && store.document) this.#editing.click(cursor.x, cursor.y, positive && store.tool !== "remove");
  }

  #editHere() {
    const place = this.#painter.cursor ?? this.#pointed();
    const object = place && this.#store.objectAt(place.x, place.y);
    if (object) this.#editing.select(object.id);
  }

  /** @returns {Point | null} */
  #pointed() {
    const { last } = this.#pointer;
    if (!last) return null;
    const [x, y] = this.#view.toImage(last.x, last.y);
    return { x, y };
  }

  #removeLastClick() {
    if (this.#store.current) this.#editing.removeLastClick();
  }

  #remove() {
    if (this.#store.current) this.#editing.remove();
  }

  #switchTool() {
    this.#editing.setTool(this.#store.tool === "remove" ? "add" : "remove");
  }

  /** @param {1 | -1} by */
  #cycle(by) {
    const ids = this.#store.document?.objects.map((object) => object.id) ?? [];
    if (!ids.length) return;
    const at = this.#store.active === null ? -1 : ids.indexOf(this.#store.active);
    this.#editing.select(ids[at < 0 ? (by > 0 ? 0 : ids.length - 1) : (at + by + ids.length) % ids.length]);
  }

  /** @param {string} key  a digit */
  #chooseClass(key) {
    const entry = this.#store.classes[Number(key) - 1];
    if (entry) this.#editing.setClass(entry.id);
  }

  #toggleAll() {
    const store = this.#store;
    const ids = store.document?.objects.map((object) => object.id) ?? [];
    store.hidden = store.hidden.size ? new Set() : new Set(ids);
    store.changed(DOCUMENT);
  }

  /** @param {string} key */
  #zoom(key) {
    if (key === "0") this.#pointer.ownSize();
    else if (key === "-") this.#pointer.zoomOut();
    else this.#pointer.zoomIn();
  }

  #escape() {
    if (this.#pointer.escape()) return;
    if (this.#painter.cursor) {
      this.#painter.cursor = null;
      this.#editing.clearPreview();
      this.#painter.request();
    } else if (this.#store.tool !== "add") this.#editing.setTool("add");
    else this.#editing.select(null);
  }
}

/**
 * @typedef {Pick<KeyboardEvent, "key" | "altKey" | "ctrlKey" | "metaKey" | "shiftKey">
 *   & Partial<Pick<KeyboardEvent, "code" | "getModifierState">>} KeyPress
 */

/**
 * Name what a key may mean, likeliest first: the character that it gives; then, where that is no shortcut of ours
 * because the layout has other characters there, the key's place on a US keyboard.
 * @param {KeyPress} event
 * @returns {string[]}
 */
export function chords(event) {
  const names = [chord(event)];
  const place = placed(event);
  if (place) names.push(chord({ ...held(event), key: place }));
  return names.filter(Boolean);
}

/**
 * Name a key with what is held: "ctrl+shift+z". Shift counts only where the key does not already say it.
 * @param {KeyPress} event
 * @returns {string}  in lower case; nothing when Alt is held
 */
export function chord(event) {
  const { altKey, ctrlKey, metaKey, shiftKey } = held(event);
  if (altKey) return "";
  const key = NAMES.get(event.key) ?? event.key.toLowerCase();
  const command = ctrlKey || metaKey ? "ctrl+" : "";
  const shift = shiftKey && (command || key === "enter") ? "shift+" : "";
  return command + shift + key;
}

/**
 * Tell which keys are held. AltGr only chooses the character, though Windows calls it Ctrl and Alt.
 * @param {KeyPress} event
 */
function held(event) {
  const { altKey, ctrlKey, metaKey, shiftKey } = event;
  if (event.getModifierState?.("AltGraph")) return { altKey: false, ctrlKey: false, metaKey, shiftKey };
  return { altKey, ctrlKey, metaKey, shiftKey };
}

/**
 * What a US keyboard has in a key's place, where the place may speak for the key.
 * @param {KeyPress} event
 * @returns {string}  nothing where only the character counts
 */
function placed({ key, code = "", shiftKey }) {
  // Dead keys, and keys that an input method has taken, have names but no character.
  const character = ["Dead", "Process", "Unidentified"].includes(key) ? "" : key;
  if ([...character].length > 1) return "";
  // Letters are where their layout puts them, unless it has none of ours.
  if (/^Key[A-Z]$/.test(code)) return /^(\p{Script=Latin}|[\x20-\x7e])$/u.test(character) ? "" : code.slice(3);
  // With Shift a US keyboard has other characters there.
  if (shiftKey) return "";
  if (/^Digit\d$/.test(code)) return code.slice(5);
  return /^[\x20-\x7e]$/.test(character) ? "" : (PLACES.get(code) ?? "");
}
