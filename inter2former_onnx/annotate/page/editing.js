// Changes to the document, one after another: each is sent with the revision that the last one led to.

import { ApiError, post, tab } from "./api.js";
import { note } from "./notes.js";
import { drawable, store } from "./store.js";

let queue = Promise.resolve();
let waiting = 0;
let painter = null;

export function begin(thePainter) {
  painter = thePainter;
}

/** Whether a change waits for its answer; previews keep still meanwhile. */
export function busy() {
  return waiting > 0;
}

/** Run something after all changes made so far. */
function enqueue(task) {
  waiting++;
  queue = queue.then(task).catch(report).finally(() => {
    waiting--;
  });
  return queue;
}

function report(error) {
  store.pending = null;
  store.changed("view");
  if (error instanceof ApiError && error.content.document) {
    store.adopt(error.content.document);
    note("This picture was changed in another window. You see its new state now; please repeat.", true);
  } else {
    note(error instanceof ApiError ? error.message : `${error}`, true);
    if (!(error instanceof ApiError)) console.error(error);
  }
}

/** Send one change. `make` gives its fields when its turn has come, or null when it is pointless by then. */
function change(make, then = () => {}) {
  const index = store.index;
  return enqueue(async () => {
    if (store.index !== index) return; // the picture was left before its turn
    const fields = make();
    if (!fields) return;
    const content = await post(`/api/images/${index}/edit`, { tab, revision: store.document.revision, ...fields });
    if (store.index !== index) return;
    const known = new Set(store.document.objects.map((object) => object.id));
    store.pending = null;
    store.preview = null;
    store.saving = true;
    store.adopt(content);
    const added = content.objects.find((object) => !known.has(object.id));
    then(content, added?.id ?? null);
  });
}

/** A change of an object's mask: a new object becomes the active one; the time until it is painted is shown. */
function answer(make, started) {
  return change(make, (content, added) => {
    if (added !== null) {
      store.active = added;
      store.hidden.delete(added);
      store.changed("document");
    }
    painter.afterPaint(() => {
      store.latency = { total: performance.now() - started, server: content.server_ms, mask: content.mask_ms };
      store.changed("status");
    });
  });
}

export function click(x, y, positive, started = performance.now()) {
  if (!positive && store.active === null && !busy()) {
    note("Begin an object with a click on it; then take away what does not belong to it.");
    return;
  }
  store.pending = { x, y, positive };
  store.changed("view");
  answer(() => ({ type: "click", object: store.active, category: store.category, x, y, positive }), started);
}

export function drawBox({ x, y, toX, toY }, started) {
  const edges = { left: Math.min(x, toX), right: Math.max(x, toX), top: Math.min(y, toY), bottom: Math.max(y, toY) };
  answer(() => {
    // A box begins an object, unless the active one has nothing yet.
    const object = store.current && !store.current.clicks.length && !store.current.area ? store.active : null;
    return { type: "box", object, category: store.category, ...edges };
  }, started);
}

export function moveClick(object, position, x, y, started) {
  answer(() => store.object(object) && { type: "move", object, click: position, x, y }, started);
}

export function removeClick(object, position, started) {
  answer(() => store.object(object)?.clicks[position] && { type: "remove_click", object, click: position }, started);
}

export function removeLastClick() {
  answer(() => {
    const count = store.current?.clicks.length;
    return count ? { type: "remove_click", object: store.active, click: count - 1 } : null;
  }, performance.now());
}

const chooseAdded = (_, added) => added !== null && select(added);
export const undo = () => change(() => (store.document.can_undo ? { type: "undo" } : null), chooseAdded);
export const redo = () => change(() => (store.document.can_redo ? { type: "redo" } : null), chooseAdded);
export const reset = () => change(() => (store.current ? { type: "reset", object: store.active } : null));

export function remove(object = store.active) {
  change(() => (store.object(object) ? { type: "delete", object } : null), () => note("Object deleted. Ctrl+Z brings it back."));
}

/** Let clicks go to an object from now on; null: the next click begins a new one. */
export function select(object) {
  enqueue(async () => {
    store.active = store.object(object) ? object : null;
    if (store.active !== null) store.hidden.delete(store.active);
    if (store.tool === "remove" && store.active === null) store.tool = "add";
    store.preview = null;
    store.changed("document", "status");
  });
}

export function setClass(category) {
  store.category = category;
  store.changed("classes");
  change(() => (store.current && store.current.category !== category ? { type: "class", object: store.active, category } : null));
}

export function setDone(done) {
  return change(() => ({ type: "done", done }));
}

/** Another window changed the picture: take its state over. */
export function reload() {
  const index = store.index;
  enqueue(async () => {
    if (store.index !== index) return;
    const content = await post(`/api/images/${index}/open`);
    if (store.index !== index) return;
    store.encodingWas(content.encoding);
    if (content.revision === store.document.revision) return;
    store.adopt(content);
    note("Another window changed this picture.");
  });
}

let previewing = null;

/**
 * Ask what a click would give, and show it if nothing else has happened by then.
 * @returns {Promise<boolean>}  false when it was not the moment; it may be a little later
 */
export async function preview(x, y, positive) {
  cancelPreview();
  const { index, active, document } = store;
  if (!positive && active === null) return true; // a click here would do nothing
  if (busy() || store.encoding.state !== "ready") return false;
  const controller = (previewing = new AbortController());
  try {
    const content = await post(`/api/images/${index}/preview`, { object: active, x, y, positive }, controller.signal);
    if (controller.signal.aborted) return true;
    if (!content.mask || busy()) return false;
    if (store.index !== index || store.active !== active || store.document !== document) return false;
    store.preview = { ...drawable(content.mask), positive, x, y };
    store.changed("view");
  } catch (error) {
    if (error.name !== "AbortError" && error.status === 0) note(error.message, true);
  }
  return true;
}

export function cancelPreview() {
  previewing?.abort();
  previewing = null;
}

export function clearPreview() {
  cancelPreview();
  if (!store.preview) return;
  store.preview = null;
  store.changed("view");
}
