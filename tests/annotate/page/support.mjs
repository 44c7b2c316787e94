// What the tests of the page's parts have in common.

import { readFile } from "node:fs/promises";

import { Store } from "../../../inter2former_onnx/annotate/page/store.js";

// Node has none; what is drawn is the browser tests' affair.
globalThis.Path2D ??= class {
  moveTo() {}
  lineTo() {}
  closePath() {}
};

/** The cases of tests/data/masks.json; tests/support/mask_fixtures.py says what they hold. */
export const cases = JSON.parse(await readFile(new URL("../../data/masks.json", import.meta.url), "utf8"));

/** The code of a mask of one pixel, (3, 2). */
export const DOT = cases.find(({ name }) => name === "one pixel inside").code;

const [height, width] = DOT.size;

/** The size of the picture that it is in. */
export const SIZE = { width, height };

/** An object as the server sends it. */
export function object(id, fields = {}) {
  return { id, category: 1, clicks: [[3, 2, 1]], box: null, area: 1, mask: DOT, ...fields };
}

/** The server's description of a document. */
export function changes(fields = {}) {
  return { revision: 1, objects: [], done: false, can_undo: false, can_redo: false, ...fields };
}

/** A store that shows the first of two pictures. */
export function storeWith(objects = []) {
  const store = new Store();
  store.pictures = [{ name: "one.png", objects: 0, done: false }, { name: "two.png", objects: 0, done: false }];
  store.index = 0;
  store.adopt({ ...SIZE, ...changes({ objects }) });
  store.encodingIs({ state: "ready" });
  return store;
}
