// @ts-check
// The pictures of the folder: opening one, going to another, marking one as finished.

import { DOCUMENT, PICTURES, STATUS, VIEW } from "./topics.js";

/**
 * @import { Api } from "./api.js"
 * @import { Editing } from "./editing.js"
 * @import { Notes } from "./notes.js"
 * @import { Painter } from "./painter.js"
 * @import { Store } from "./store.js"
 * @import { View } from "./view.js"
 */

export class Pictures {
  #store;
  #api;
  #editing;
  #painter;
  #view;
  #notes;
  #opening = 0; // counts openings: an answer that a later one has overtaken is dropped

  /** @param {{store: Store, api: Api, editing: Editing, painter: Painter, view: View, notes: Notes}} parts */
  constructor({ store, api, editing, painter, view, notes }) {
    this.#store = store;
    this.#api = api;
    this.#editing = editing;
    this.#painter = painter;
    this.#view = view;
    this.#notes = notes;
  }

  /**
   * Show a picture. What is not there yet (its pixels, its encoding) comes as it is ready.
   * @param {number} index
   */
  async open(index) {
    const store = this.#store, painter = this.#painter;
    if (index < 0 || index >= store.pictures.length) return;
    const turn = ++this.#opening;
    store.index = index;
    store.active = null;
    store.hidden = new Set();
    store.pending = store.preview = store.document = null;
    painter.image = null;
    painter.cursor = null;
    location.hash = `#${index + 1}`;
    store.encoding = { state: "waiting", seconds: 0, expected: 0, since: performance.now() };
    store.changed(PICTURES, DOCUMENT);
    painter.request(true);
    try {
      const image = new Image();
      image.src = this.#api.address(index, "picture");
      const [content] = await Promise.all([this.#api.open(index), image.decode().catch(() => null)]);
      if (turn !== this.#opening) return;
      if (!image.naturalWidth) throw new Error(`${store.pictures[index].name} cannot be shown.`);
      painter.image = image;
      this.#view.show(content.width, content.height);
      store.encodingWas(content.encoding);
      store.adopt(content);
      if (content.notice) this.#notes.show(content.notice, true);
      store.changed(STATUS, VIEW);
      painter.request(true);
      // The next one is ready when it is wanted.
      if (index + 1 < store.pictures.length) new Image().src = this.#api.address(index + 1, "picture");
    } catch (error) {
      if (turn !== this.#opening) return;
      this.#notes.failed(error);
      store.encodingIs({ state: "failed", message: error instanceof Error ? error.message : String(error) });
    }
  }

  /**
   * Go on to another picture.
   * @param {number} by  1 for the next, -1 for the previous one
   */
  step(by) {
    const index = this.#store.index + by;
    if (index < 0) this.#notes.show("This is the first picture.");
    else if (index >= this.#store.pictures.length) this.#notes.show("This is the last picture.");
    else this.open(index);
  }

  /** Mark the picture as finished and go on, or take the mark back. */
  async toggleDone() {
    const store = this.#store;
    if (!store.document) return;
    const done = !store.document.done;
    const { index } = store;
    await this.#editing.setDone(done);
    if (done && store.index === index && index + 1 < store.pictures.length) this.step(1);
  }
}
