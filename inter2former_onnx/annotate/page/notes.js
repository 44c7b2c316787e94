// @ts-check
// Short messages that go by themselves.

import { find } from "./dom.js";

const SECONDS = 4;

export class Notes {
  #place = find("#notes", HTMLElement);

  /**
   * Show a message.
   * @param {string} text
   * @param {boolean} [bad]  something went wrong
   */
  show(text, bad = false) {
    for (const shown of this.#place.children) if (shown.textContent === text) shown.remove();
    const line = document.createElement("div");
    line.className = bad ? "note bad" : "note";
    line.textContent = text;
    this.#place.append(line);
    while (this.#place.children.length > 3) this.#place.firstChild?.remove();
    setTimeout(() => line.remove(), 1000 * SECONDS * (bad ? 2 : 1));
  }

  /**
   * Show what went wrong.
   * @param {unknown} error
   */
  failed(error) {
    this.show(error instanceof Error ? error.message : String(error), true);
  }
}
