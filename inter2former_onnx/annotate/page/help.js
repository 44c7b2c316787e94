// @ts-check
// The help: keys and gestures.

import { find } from "./dom.js";

/** @import { KeyEntry } from "./keyboard.js" */

/**
 * What fingers do, first in the help where they are what there is.
 * @type {KeyEntry[]}
 */
const GESTURES = [
  { keys: ["Tap"], text: "add to the object, or begin one" },
  { keys: ["Remove", "Tap"], text: "take away from the object" },
  { keys: ["Box", "Drag"], text: "box around an object" },
  { keys: ["Drag"], text: "move the picture, or a click" },
  { keys: ["Double tap"], text: "remove a click" },
  { keys: ["Pinch"], text: "zoom and move the picture" },
];

/**
 * Put the help's lines in order.
 * @param {KeyEntry[]} table
 * @param {boolean} touch  whether fingers are what the page is used with
 */
export function helpLines(table, touch) {
  return touch ? [...GESTURES, ...table] : table;
}

export class HelpDialog {
  #dialog = find("#help-dialog", HTMLDialogElement);
  #keys = find("#keys", HTMLElement);

  open() {
    this.#dialog.showModal();
    this.#dialog.scrollTop = 0; // the focus, which goes to the last button, may have scrolled there
  }

  /**
   * Say what the help lists.
   * @param {KeyEntry[]} table
   */
  fill(table) {
    this.#keys.replaceChildren(
      ...helpLines(table, matchMedia("(pointer: coarse)").matches).map(({ keys, short, text }) => {
        const line = document.createElement("div");
        const names = document.createElement("span");
        names.className = "key";
        for (const name of short ?? keys) {
          const key = document.createElement("kbd");
          key.textContent = name;
          names.append(key);
        }
        const what = document.createElement("span");
        what.textContent = text;
        line.append(names, what);
        return line;
      }),
    );
  }
}
