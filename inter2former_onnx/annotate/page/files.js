// @ts-check
// The dialog that has more files written.

import { find } from "./dom.js";
import { counted } from "./words.js";

/**
 * @import { Api } from "./api.js"
 * @import { Notes } from "./notes.js"
 * @import { Store } from "./store.js"
 */

export class FilesDialog {
  #store;
  #api;
  #notes;
  #dialog = find("#export-dialog", HTMLDialogElement);
  #out = find("#out", HTMLElement);

  /** @param {{store: Store, api: Api, notes: Notes}} parts */
  constructor({ store, api, notes }) {
    this.#store = store;
    this.#api = api;
    this.#notes = notes;
    for (const button of this.#dialog.querySelectorAll("button")) {
      const { kind } = button.dataset;
      if (kind) button.onclick = () => this.#write(kind, button);
    }
  }

  open() {
    this.#out.textContent = this.#store.out;
    this.#dialog.showModal();
  }

  /**
   * @param {string} kind
   * @param {HTMLButtonElement} button
   */
  async #write(kind, button) {
    button.disabled = true;
    try {
      const { files, out } = await this.#api.exportFiles(kind);
      this.#notes.show(`${counted(files, "file")} written to ${out}`);
      this.#dialog.close();
    } catch (error) {
      this.#notes.failed(error);
    }
    button.disabled = false;
  }
}
