// @ts-check
// What the page knows. Parts change it and say so; parts that show it listen.

import { outline } from "./outline.js";
import { covers, decode } from "./rle.js";
import { DOCUMENT, PICTURES, STATUS } from "./topics.js";

/**
 * @import { Topic } from "./topics.js"
 * @import {
 *   Category, Changes, Code, Colour, Drawable, Encoding, Picture, PictureDocument, Progress, Prompt, RunState,
 *   ShownObject, Tool
 * } from "./types.js"
 */

export class Store extends EventTarget {
  /** @type {Picture[]} */
  pictures = [];
  /** @type {Category[]} */
  classes = [];
  /** @type {Colour[]} */
  colours = [[0, 144, 255]];
  run = ""; // of the server
  engine = ""; // what answers the clicks
  randomWeights = false; // whether it answers nonsense
  out = ""; // folder of the files
  index = -1; // of the picture shown
  /** @type {PictureDocument | null} */
  document = null;
  /** @type {Encoding} */
  encoding = { state: "waiting", seconds: 0, expected: 0, since: 0 };
  /** @type {number | null} */
  active = null; // id of the object that clicks go to; null: a click begins a new one
  category = 1; // class of the next object
  /** @type {Set<number>} */
  hidden = new Set(); // ids of objects not drawn
  /** @type {Tool} */
  tool = "add";
  previews = true;
  /** @type {(Drawable & Prompt) | null} */
  preview = null; // what a click at the pointer would give
  /** @type {Prompt | null} */
  pending = null; // a click without an answer yet
  connected = true;
  saving = false; // whether a change is not in the files yet
  problem = ""; // why saving fails
  /** @type {{total: number, server: number, mask: number} | null} */
  latency = null; // of the last click, in milliseconds

  /**
   * Tell those who show it that something has changed.
   * @param {...Topic} topics
   */
  changed(...topics) {
    for (const topic of topics) this.dispatchEvent(new Event(topic));
  }

  /**
   * Call back whenever something of these topics has changed.
   * @param {Topic[]} topics
   * @param {() => void} listener
   */
  on(topics, listener) {
    for (const topic of topics) this.addEventListener(topic, listener);
  }

  /**
   * Take over what the server says about this run.
   * @param {RunState} state
   */
  load({ run, pictures, classes, colours, problem, engine, random_weights: randomWeights, out }) {
    Object.assign(this, { run, pictures, classes, colours, problem, engine, randomWeights, out });
  }

  /**
   * Find an object of the picture shown.
   * @param {number | null} id
   * @returns {ShownObject | null}
   */
  object(id) {
    return this.document?.objects.find((object) => object.id === id) ?? null;
  }

  /** The active object. */
  get current() {
    return this.object(this.active);
  }

  /**
   * Find the topmost shown object at a place of the picture.
   * @param {number} x
   * @param {number} y
   * @returns {ShownObject | null}
   */
  objectAt(x, y) {
    const objects = this.document?.objects ?? [];
    return objects.findLast(({ id, bitmap }) => bitmap && !this.hidden.has(id) && covers(bitmap, x, y)) ?? null;
  }

  /**
   * Name a class.
   * @param {number} id
   */
  className(id) {
    return this.classes.find((entry) => entry.id === id)?.name ?? "?";
  }

  /**
   * Choose the colour of an object.
   * @param {number | null} id  null: the next one's
   */
  colour(id) {
    const number = id ?? Math.max(0, ...(this.document?.objects.map((object) => object.id) ?? [])) + 1;
    return this.colours[(number - 1) % this.colours.length];
  }

  /**
   * Take over what the news say about the encoding of the picture shown.
   * @param {Progress} progress
   */
  encodingIs(progress) {
    this.encoding = { ...progress, since: performance.now() - 1000 * (progress.seconds ?? 0) };
    this.changed(STATUS);
  }

  /**
   * Take over what an answer says about it; news that overtook the answer hold.
   * @param {Progress} progress
   */
  encodingWas(progress) {
    if (this.encoding.state !== "ready") this.encodingIs(progress);
  }

  /**
   * Take over what the server says about the document; masks that it left out are those we have.
   * @param {Changes & {width?: number, height?: number, version?: string}} content  with the picture's size and version
   *   when it has just been opened
   */
  adopt(content) {
    const known = new Map(this.document?.objects.map((object) => [object.id, object]) ?? []);
    const objects = content.objects.map((object) => {
      const old = known.get(object.id);
      if (!object.mask) return { ...object, bitmap: old?.bitmap, path: old?.path };
      return { ...object, ...drawable(object.mask) };
    });
    // The version stays that of the photograph shown.
    const version = this.document?.version ?? content.version;
    this.document = /** @type {PictureDocument} */ ({ ...this.document, ...content, version, objects });
    if (!this.object(this.active)) this.active = null;
    const picture = this.pictures[this.index];
    if (picture) {
      picture.objects = objects.filter((object) => object.area).length;
      picture.done = content.done;
    }
    this.changed(DOCUMENT, PICTURES);
  }
}

/**
 * Make a mask ready to be drawn.
 * @param {Code} mask
 * @returns {Drawable}
 */
export function drawable(mask) {
  const bitmap = decode(mask);
  return { bitmap, path: outline(bitmap) };
}
