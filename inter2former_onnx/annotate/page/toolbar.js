// @ts-check
// What the buttons around the picture do. What they show is status.js's affair.

import { arrow } from "./classes.js";
import { find } from "./dom.js";

/**
 * @import { Editing } from "./editing.js"
 * @import { FilesDialog } from "./files.js"
 * @import { HelpDialog } from "./help.js"
 * @import { Pictures } from "./pictures.js"
 * @import { Pointer } from "./pointer.js"
 * @import { Store } from "./store.js"
 * @import { Tool } from "./types.js"
 */

/** @type {Tool[]} */
const TOOLS = ["add", "remove", "box"];

export class Toolbar {
  #store;
  #editing;

  /**
   * @param {{store: Store, editing: Editing, pictures: Pictures, pointer: Pointer, help: HelpDialog,
   *   files: FilesDialog}} parts
   */
  constructor({ store, editing, pictures, pointer, help, files }) {
    this.#store = store;
    this.#editing = editing;
    for (const tool of TOOLS) onClick(tool, () => editing.setTool(tool));
    onClick("undo", () => editing.undo());
    onClick("redo", () => editing.redo());
    onClick("reset", () => editing.reset());
    onClick("next-object", () => editing.select(null));
    onClick("done", () => pictures.toggleDone());
    onClick("export", () => files.open());
    onClick("help", () => help.open());
    onClick("zoom-in", () => pointer.zoomIn());
    onClick("zoom-out", () => pointer.zoomOut());
    onClick("zoom-level", () => pointer.ownSize());
    onClick("zoom-fit", () => pointer.fit());
    find(".switch", HTMLElement).addEventListener("keydown", (event) => this.#moveInTools(event));
    this.#bindPreview();
  }

  /** @param {KeyboardEvent} event */
  #moveInTools(event) {
    const by = arrow(event.key);
    if (!by) return;
    event.preventDefault();
    this.#editing.setTool(TOOLS[(TOOLS.indexOf(this.#store.tool) + by + TOOLS.length) % TOOLS.length]);
    find(`#${this.#store.tool}`, HTMLElement).focus();
  }

  /** Whether previews are shown is remembered by the browser. */
  #bindPreview() {
    const store = this.#store, box = find("#preview", HTMLInputElement);
    store.previews = localStorage.getItem("preview") !== "off";
    box.checked = store.previews;
    box.onchange = () => {
      store.previews = box.checked;
      localStorage.setItem("preview", box.checked ? "on" : "off");
      this.#editing.clearPreview();
    };
  }
}

/**
 * @param {string} id  of a button
 * @param {() => void} run
 */
function onClick(id, run) {
  find(`#${id}`, HTMLButtonElement).onclick = run;
}
