// What the page knows. Parts change it and say so; parts that show it listen.

import { decode } from "./rle.js";
import { outline } from "./outline.js";

class Store extends EventTarget {
  pictures = []; // {name, objects, done}
  classes = []; // {id, name}
  colours = [[0, 144, 255]];
  index = -1; // of the picture shown
  document = null; // {width, height, revision, objects, done, can_undo, can_redo}, objects with `bitmap` and `path`
  encoding = { state: "waiting", seconds: 0, expected: 0, since: 0 };
  active = null; // id of the object that clicks go to; null: a click begins a new one
  category = 1; // class of the next object
  hidden = new Set(); // ids of objects not drawn
  tool = "add"; // add, remove, box
  previews = true;
  preview = null; // {bitmap, path, positive, x, y}: what a click at the pointer would give
  pending = null; // {x, y, positive}: a click without an answer yet
  connected = true;
  saving = false; // whether a change is not in the files yet
  problem = ""; // why saving fails
  latency = null; // {total, server} in milliseconds

  /** Tell those who show it that something has changed: "document", "pictures", "classes", "view", "status". */
  changed(...topics) {
    for (const topic of topics) this.dispatchEvent(new Event(topic));
  }

  on(topics, listener) {
    for (const topic of topics.split(" ")) this.addEventListener(topic, listener);
  }

  object(id) {
    return this.document?.objects.find((object) => object.id === id) ?? null;
  }

  get current() {
    return this.object(this.active);
  }

  className(id) {
    return this.classes.find((entry) => entry.id === id)?.name ?? "?";
  }

  /** [red, green, blue] of an object; null: of the next one. */
  colour(id) {
    const number = id ?? Math.max(0, ...(this.document?.objects.map((object) => object.id) ?? [])) + 1;
    return this.colours[(number - 1) % this.colours.length];
  }

  /** What the news say about the encoding of the picture shown. */
  encodingIs(progress) {
    this.encoding = { ...progress, since: performance.now() - 1000 * (progress.seconds ?? 0) };
    this.changed("status");
  }

  /** What an answer says about it; news that overtook the answer hold. */
  encodingWas(progress) {
    if (this.encoding.state !== "ready") this.encodingIs(progress);
  }

  /** Take over what the server says about the document; masks that it left out are those we have. */
  adopt(content) {
    const known = new Map(this.document?.objects.map((object) => [object.id, object]) ?? []);
    const objects = content.objects.map((object) => {
      const old = known.get(object.id);
      if (!object.mask) return { ...object, bitmap: old?.bitmap, path: old?.path };
      return { ...object, ...drawable(object.mask) };
    });
    this.document = { ...this.document, ...content, objects };
    if (!this.object(this.active)) this.active = null;
    const picture = this.pictures[this.index];
    if (picture) {
      picture.objects = objects.filter((object) => object.area).length;
      picture.done = content.done;
    }
    this.changed("document", "pictures");
  }
}

/** A mask as the server sends it -> its bitmap and its path. */
export function drawable(mask) {
  const bitmap = decode(mask);
  return { bitmap, path: outline(bitmap) };
}

export const store = new Store();
