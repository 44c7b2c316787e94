// @ts-check
// What the server's news change: what other windows do, how encoding and saving go.

import { CLASSES, DOCUMENT, PICTURES, STATUS } from "./topics.js";

/**
 * @import { Api } from "./api.js"
 * @import { Editing } from "./editing.js"
 * @import { Store } from "./store.js"
 * @import { ServerEvent } from "./types.js"
 */

export class News {
  #store;
  #api;
  #editing;

  /** @param {{store: Store, api: Api, editing: Editing}} parts */
  constructor({ store, api, editing }) {
    this.#store = store;
    this.#api = api;
    this.#editing = editing;
  }

  /** Follow the news from now on. */
  follow() {
    this.#api.listen(
      (event) => this.take(event),
      () => this.#catchUp(),
      (connected) => {
        if (this.#store.connected === connected) return;
        this.#store.connected = connected;
        this.#store.changed(STATUS);
      },
    );
  }

  /**
   * Take over one event.
   * @param {ServerEvent} event
   */
  take(event) {
    const store = this.#store;
    if (event.type === "encoding") {
      if (event.image === store.index) store.encodingIs(event);
    } else if (event.type === "document") {
      if (event.image === store.index && event.tab !== this.#api.tab && store.document) this.#editing.reload();
    } else if (event.type === "picture") {
      Object.assign(store.pictures[event.image], { objects: event.objects, done: event.done });
      store.changed(PICTURES);
    } else if (event.type === "classes") {
      store.classes = event.classes;
      store.changed(CLASSES, DOCUMENT);
    } else if (event.type === "saved") {
      store.problem = event.problem;
      store.saving = event.pending;
      store.changed(STATUS);
    }
  }

  /** Ask for everything that may have changed without news. */
  async #catchUp() {
    const state = await this.#api.state().catch(() => null);
    if (!state) return; // gone again
    if (state.run !== this.#store.run) {
      // Another run answers here now: its pictures are not those that this page shows.
      location.reload();
      return;
    }
    this.#store.load(state);
    this.#store.changed(PICTURES, CLASSES, STATUS);
    if (this.#store.document) this.#editing.reload();
  }
}
