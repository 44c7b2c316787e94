// @ts-check
// The help: keys and gestures.

import { find } from "./dom.js";

/** @import { KeyEntry } from "./keyboard.js" */

export class HelpDialog {
  #dialog = find("#help-dialog", HTMLDialogElement);
  #keys = find("#keys", HTMLElement);

  open() {
    this.#dialog.showModal();
  }

  /**
   * Say what the help lists.
   * @param {KeyEntry[]} table
   */
  fill(table) {
    this.#keys.replaceChildren(
      ...table.map(({ keys, short, text }) => {
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
