// @ts-check
// The side panel. Where the window is narrow it is a sheet over the picture, which is opened and closed.

import { find } from "./dom.js";

export class Panel {
  #panel = find("#panel", HTMLElement);
  #button = find("#show-panel", HTMLButtonElement);

  constructor() {
    this.#button.onclick = () => this.#set(!this.#panel.classList.contains("open"));
  }

  /**
   * Close it if it is an open sheet.
   * @returns {boolean}  whether it was
   */
  close() {
    const open = this.#panel.classList.contains("open") && getComputedStyle(this.#panel).position === "fixed";
    if (open) this.#set(false);
    return open;
  }

  /** @param {boolean} open */
  #set(open) {
    this.#panel.classList.toggle("open", open);
    this.#button.setAttribute("aria-expanded", String(open));
  }
}
