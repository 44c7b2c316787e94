// @ts-check
// Changes to the document, one after another: each is sent with the revision that the last one led to.

import { ApiError } from "./api.js";
import { drawable } from "./store.js";
import { CLASSES, DOCUMENT, STATUS, VIEW } from "./topics.js";

/**
 * @import { Api } from "./api.js"
 * @import { Notes } from "./notes.js"
 * @import { Painter } from "./painter.js"
 * @import { Store } from "./store.js"
 * @import { Edited, PictureDocument, Rectangle, Tool } from "./types.js"
 */

/**
 * What is called with the answer to a change, and the id of the object that it added.
 * @typedef {(content: Edited, added: number | null) => void} Then
 */

export class Editing {
  #store;
  #api;
  #painter;
  #notes;
  /** @type {Promise<void>} */
  #queue = Promise.resolve();
  #waiting = 0;
  /** @type {AbortController | null} */
  #previewing = null;

  /** @param {{store: Store, api: Api, painter: Pick<Painter, "afterPaint">, notes: Pick<Notes, "show">}} parts */
  constructor({ store, api, painter, notes }) {
    this.#store = store;
    this.#api = api;
    this.#painter = painter;
    this.#notes = notes;
  }

  /** Whether a change waits for its answer; previews keep still meanwhile. */
  get busy() {
    return this.#waiting > 0;
  }

  /**
   * Add a click to the active object, or begin one with it.
   * @param {number} x
   * @param {number} y
   * @param {boolean} positive
   * @param {number} [started]  when the hand did it
   */
  click(x, y, positive, started = performance.now()) {
    const store = this.#store;
    if (!positive && store.active === null && !this.busy) {
      this.#notes.show("Begin an object with a click on it; then take away what does not belong to it.");
      return;
    }
    store.pending = { x, y, positive };
    store.changed(VIEW);
    this.#answer(() => ({ type: "click", object: store.active, category: store.category, x, y, positive }), started);
  }

  /**
   * Begin an object with a box.
   * @param {Rectangle} box
   * @param {number} started
   */
  drawBox({ x, y, toX, toY }, started) {
    const store = this.#store;
    const edges = { left: Math.min(x, toX), right: Math.max(x, toX), top: Math.min(y, toY), bottom: Math.max(y, toY) };
    this.#answer(() => {
      // A box begins an object, unless the active one has nothing yet.
      const object = store.current && !store.current.clicks.length && !store.current.area ? store.active : null;
      return { type: "box", object, category: store.category, ...edges };
    }, started);
  }

  /**
   * Move a click of an object.
   * @param {number} object
   * @param {number} position  of the click among the object's
   * @param {number} x
   * @param {number} y
   * @param {number} started
   */
  moveClick(object, position, x, y, started) {
    this.#answer(() => this.#store.object(object) && { type: "move", object, click: position, x, y }, started);
  }

  /**
   * Take a click of an object back.
   * @param {number} object
   * @param {number} position
   * @param {number} started
   */
  removeClick(object, position, started) {
    this.#answer(() => {
      return this.#store.object(object)?.clicks[position] ? { type: "remove_click", object, click: position } : null;
    }, started);
  }

  /** Take the last click of the active object back. */
  removeLastClick() {
    this.#answer(() => {
      const count = this.#store.current?.clicks.length;
      return count ? { type: "remove_click", object: this.#store.active, click: count - 1 } : null;
    }, performance.now());
  }

  undo() {
    this.#change((document) => (document.can_undo ? { type: "undo" } : null), this.#chooseAdded);
  }

  redo() {
    this.#change((document) => (document.can_redo ? { type: "redo" } : null), this.#chooseAdded);
  }

  /** Take all clicks of the active object back. */
  reset() {
    const store = this.#store;
    this.#change(() => (store.current ? { type: "reset", object: store.active } : null));
  }

  /**
   * Delete an object.
   * @param {number | null} [object]
   */
  remove(object = this.#store.active) {
    const make = () => (this.#store.object(object) ? { type: "delete", object } : null);
    this.#change(make, () => this.#notes.show("Object deleted. Ctrl+Z brings it back."));
  }

  /**
   * Let clicks go to an object from now on.
   * @param {number | null} object  null: the next click begins a new one
   */
  select(object) {
    const store = this.#store;
    this.#enqueue(async () => {
      store.active = store.object(object) ? object : null;
      if (store.active !== null) store.hidden.delete(store.active);
      if (store.tool === "remove" && store.active === null) store.tool = "add";
      store.preview = null;
      store.changed(DOCUMENT, STATUS);
    });
  }

  /**
   * Choose the class of the active object and of those that come.
   * @param {number} category
   */
  setClass(category) {
    const store = this.#store;
    store.category = category;
    store.changed(CLASSES);
    this.#change(() => {
      if (!store.current || store.current.category === category) return null;
      return { type: "class", object: store.active, category };
    });
  }

  /**
   * Choose what the main button does.
   * @param {Tool} tool
   */
  setTool(tool) {
    this.#store.tool = tool;
    this.clearPreview();
    this.#store.changed(STATUS);
  }

  /**
   * Mark the picture as finished or not.
   * @param {boolean} done
   */
  setDone(done) {
    return this.#change(() => ({ type: "done", done }));
  }

  /** Take over the state of a picture that another window has changed. */
  reload() {
    const store = this.#store, { index } = store;
    this.#enqueue(async () => {
      if (store.index !== index) return;
      const content = await this.#api.open(index, store.document?.version);
      if (store.index !== index) return;
      store.encodingWas(content.encoding);
      if (!store.document || content.revision === store.document.revision) return;
      store.adopt(content);
      this.#notes.show("Another window changed this picture.");
    });
  }

  /**
   * Ask what a click would give, and show it if nothing else has happened by then.
   * @param {number} x
   * @param {number} y
   * @param {boolean} positive
   * @returns {Promise<boolean>}  false when it was not the moment; it may be a little later
   */
  async preview(x, y, positive) {
    this.#cancelPreview();
    const store = this.#store;
    const { index, active, document } = store;
    if (!positive && active === null) return true; // a click here would do nothing
    if (this.busy || store.encoding.state !== "ready") return false;
    const controller = (this.#previewing = new AbortController());
    try {
      const { mask } = await this.#api.preview(index, this.#named({ object: active, x, y, positive }), controller.signal);
      if (controller.signal.aborted) return true;
      if (!mask || this.busy) return false;
      if (store.index !== index || store.active !== active || store.document !== document) return false;
      store.preview = { ...drawable(mask), positive, x, y };
      store.changed(VIEW);
    } catch (error) {
      if (error instanceof ApiError && error.status === 0) this.#notes.show(error.message, true);
    }
    return true;
  }

  /** Show no preview, not the one that was asked for either. */
  clearPreview() {
    this.#cancelPreview();
    if (!this.#store.preview) return;
    this.#store.preview = null;
    this.#store.changed(VIEW);
  }

  #cancelPreview() {
    this.#previewing?.abort();
    this.#previewing = null;
  }

  /**
   * Run something after all changes made so far.
   * @param {() => Promise<void>} task
   */
  #enqueue(task) {
    this.#waiting++;
    this.#queue = this.#queue
      .then(task)
      .catch((error) => this.#report(error))
      .finally(() => {
        this.#waiting--;
      });
    return this.#queue;
  }

  /** @param {unknown} error */
  #report(error) {
    this.#store.pending = null;
    this.#store.changed(VIEW);
    if (error instanceof ApiError && error.content.document) {
      this.#store.adopt(error.content.document);
      this.#notes.show("This picture was changed in another window. You see its new state now; please repeat.", true);
    } else {
      this.#notes.show(error instanceof ApiError ? error.message : `${error}`, true);
      if (!(error instanceof ApiError)) console.error(error);
    }
  }

  /**
   * Send one change.
   * @param {(document: PictureDocument) => object | null} make  gives its fields when its turn has come, or null when
   *   it is pointless by then
   * @param {Then} [then]
   */
  #change(make, then = () => {}) {
    const store = this.#store, { index } = store;
    return this.#enqueue(async () => {
      if (store.index !== index || !store.document) return; // the picture was left before its turn
      const fields = make(store.document);
      if (!fields) return;
      const content = await this.#api.edit(index, store.document.revision, this.#named(fields));
      if (store.index !== index || !store.document) return;
      const known = new Set(store.document.objects.map((object) => object.id));
      store.pending = null;
      store.preview = null;
      store.saving = true;
      store.adopt(content);
      const added = content.objects.find((object) => !known.has(object.id));
      then(content, added?.id ?? null);
    });
  }

  /**
   * Say in a request which picture is shown.
   * @template {object} T
   * @param {T} fields
   * @returns {T & {version?: string}}
   */
  #named(fields) {
    const version = this.#store.document?.version;
    return version ? { ...fields, version } : fields;
  }

  /**
   * Send a change of an object's mask: a new object becomes the active one; the time until it is painted is shown.
   * @param {() => object | null} make
   * @param {number} started
   */
  #answer(make, started) {
    const store = this.#store;
    this.#change(make, (content, added) => {
      if (added !== null) {
        store.active = added;
        store.hidden.delete(added);
        store.changed(DOCUMENT);
      }
      this.#painter.afterPaint(() => {
        store.latency = { total: performance.now() - started, server: content.server_ms, mask: content.mask_ms };
        store.changed(STATUS);
      });
    });
  }

  /** @type {Then} */
  #chooseAdded = (_, added) => {
    if (added !== null) this.select(added);
  };
}
