// Everything by keyboard. The table is also what the help shows.

import * as editing from "./editing.js";
import * as pictures from "./pictures.js";
import { objectAt } from "./pointer.js";
import { store } from "./store.js";

const STEP = 12; // page pixels an arrow key moves the crosshair

export class Keyboard {
  constructor(view, painter, pointer, help) {
    Object.assign(this, { view, painter, pointer, help });
    document.addEventListener("keydown", (event) => this.#press(event));
    document.addEventListener("keyup", (event) => {
      if (event.key === " ") this.pointer.spaceHeld = false;
    });
    this.keys = new Map();
    for (const { keys, run } of this.table) {
      if (run) for (const key of keys) this.keys.set(key.toLowerCase(), run);
    }
  }

  /** What the help shows, in its order; `run` is null for what is handled elsewhere. */
  table = [
    { keys: ["Click"], text: "add to the object, or begin one" },
    { keys: ["Right click", "Alt+Click"], text: "take away from the object" },
    { keys: ["Drag"], text: "move the picture, or a click" },
    { keys: ["Shift+Drag", "B"], text: "box around an object", run: () => setTool("box") },
    { keys: ["Double click"], text: "remove a click" },
    { keys: ["Wheel", "Pinch"], text: "zoom" },
    { keys: ["Arrows"], text: "crosshair (Shift: one pixel)" },
    { keys: ["Enter"], text: "click at the crosshair", run: () => this.#click(true) },
    { keys: ["Shift+Enter"], text: "take away at the crosshair", run: () => this.#click(false) },
    { keys: ["X"], text: "switch between add and remove", run: () => setTool(store.tool === "remove" ? "add" : "remove") },
    { keys: ["N"], text: "next object", run: () => editing.select(null) },
    { keys: ["[", "]"], text: "go through the objects", run: (key) => cycle(key === "[" ? -1 : 1) },
    { keys: ["E"], text: "edit the object under the pointer", run: () => this.#editHere() },
    { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], short: ["1", "–", "9"], text: "class of the object", run: (key) => chooseClass(key) },
    { keys: ["Ctrl+Z", "U"], text: "undo", run: () => editing.undo() },
    { keys: ["Ctrl+Shift+Z", "Ctrl+Y"], text: "redo", run: () => editing.redo() },
    { keys: ["Backspace"], text: "remove the last click", run: () => store.current && editing.removeLastClick() },
    { keys: ["R"], text: "take all clicks of the object back", run: () => editing.reset() },
    { keys: ["Delete"], text: "delete the object", run: () => store.current && editing.remove() },
    { keys: ["H"], text: "hide or show all masks", run: () => toggleAll() },
    { keys: ["P"], text: "preview on or off", run: () => document.getElementById("preview").click() },
    { keys: ["Page Down", "."], text: "next picture", run: () => pictures.step(1) },
    { keys: ["Page Up", ","], text: "previous picture", run: () => pictures.step(-1) },
    { keys: ["M"], text: "picture finished, go to the next", run: () => pictures.toggleDone() },
    { keys: ["+", "-", "0"], text: "zoom in, out, own size", run: (key) => this.zoom(key) },
    { keys: ["F"], text: "fit the picture", run: () => this.zoom("f") },
    { keys: ["Space+Drag"], text: "move the picture" },
    { keys: ["Esc"], text: "give up a drag, let go of the object", run: () => this.#escape() },
    { keys: ["?"], text: "this help", run: () => this.help() },
  ];

  zoom(key) {
    if (!store.document) return;
    if (key === "f") this.view.fit();
    else if (key === "0") this.view.zoom(1 / this.view.scale);
    else this.view.zoom(key === "-" ? 1 / 1.4 : 1.4, ...(this.pointer.last ? [this.pointer.last.x, this.pointer.last.y] : []));
    this.painter.request(true);
    store.changed("view");
  }

  #press(event) {
    if (event.target.closest("input:not([type=checkbox]), dialog[open]")) return;
    const onControl = event.target.closest("button, input, a");
    if (onControl && (event.key === "Enter" || event.key === " ")) return; // it is the control's
    if (event.key === " ") {
      this.pointer.spaceHeld = true;
      event.preventDefault();
      return;
    }
    if (event.key.startsWith("Arrow") && !event.altKey && !event.ctrlKey && !event.metaKey) {
      if (event.target.closest("[role=radiogroup]")) return;
      this.#moveCursor(event);
      return;
    }
    const run = this.keys.get(chord(event));
    if (!run) return;
    event.preventDefault();
    run(event.key.toLowerCase());
  }

  #moveCursor(event) {
    if (!store.document) return;
    event.preventDefault();
    const { painter, view } = this;
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(STEP / view.scale));
    const { x, y } = painter.cursor ?? this.#start();
    const byX = { ArrowLeft: -step, ArrowRight: step }[event.key] ?? 0;
    const byY = { ArrowUp: -step, ArrowDown: step }[event.key] ?? 0;
    const clamp = (value, size) => Math.min(Math.max(Math.floor(value), 0), size - 1) + 0.5;
    painter.cursor = { x: clamp(x + byX, view.imageWidth), y: clamp(y + byY, view.imageHeight) };
    view.reveal(painter.cursor.x, painter.cursor.y);
    editing.clearPreview();
    painter.request(true);
    this.pointer.rest(painter.cursor.x, painter.cursor.y, store.tool !== "remove");
  }

  /** Where the crosshair appears: at the pointer if that is over the picture, otherwise in the middle of what is seen. */
  #start() {
    const { view, pointer } = this;
    const [x, y] = pointer.last ? view.toImage(pointer.last.x, pointer.last.y) : [-1, -1];
    if (view.contains(x, y)) return { x, y };
    const [middleX, middleY] = view.toImage(view.width / 2, view.height / 2);
    return { x: middleX, y: middleY };
  }

  #click(positive) {
    const { cursor } = this.painter;
    if (cursor && store.document) editing.click(cursor.x, cursor.y, positive && store.tool !== "remove");
  }

  #editHere() {
    const place = this.painter.cursor ?? (this.pointer.last && this.#pointed());
    const object = place && objectAt(place.x, place.y);
    if (object) editing.select(object.id);
  }

  #pointed() {
    const [x, y] = this.view.toImage(this.pointer.last.x, this.pointer.last.y);
    return { x, y };
  }

  #escape() {
    if (this.pointer.escape()) return;
    if (this.painter.cursor) {
      this.painter.cursor = null;
      editing.clearPreview();
      this.painter.request();
    } else if (store.tool !== "add") setTool("add");
    else editing.select(null);
  }
}

/** "Ctrl+Shift+Z" of a key event, in lower case. Shift counts only where the key does not already say it. */
function chord(event) {
  const names = { PageDown: "page down", PageUp: "page up", Escape: "esc", "=": "+" };
  const key = names[event.key] ?? event.key.toLowerCase();
  if (event.altKey) return "";
  const command = event.ctrlKey || event.metaKey ? "ctrl+" : "";
  const shift = event.shiftKey && (command || key === "enter") ? "shift+" : "";
  return command + shift + key;
}

export function setTool(tool) {
  store.tool = tool;
  editing.clearPreview();
  store.changed("status");
}

function cycle(by) {
  const ids = store.document?.objects.map((object) => object.id) ?? [];
  if (!ids.length) return;
  const at = ids.indexOf(store.active);
  editing.select(ids[at < 0 ? (by > 0 ? 0 : ids.length - 1) : (at + by + ids.length) % ids.length]);
}

function chooseClass(key) {
  const entry = store.classes[Number(key) - 1];
  if (entry) editing.setClass(entry.id);
}

function toggleAll() {
  const ids = store.document?.objects.map((object) => object.id) ?? [];
  store.hidden = store.hidden.size ? new Set() : new Set(ids);
  store.changed("document");
}
