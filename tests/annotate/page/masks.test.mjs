// rle.js and outline.js against tests/data/masks.json, to which annotate/rle.py and annotate/outlines.py are held too.

import assert from "node:assert/strict";
import { test } from "node:test";

import { outline, rings } from "../../../inter2former_onnx/annotate/page/outline.js";
import { covers, decode } from "../../../inter2former_onnx/annotate/page/rle.js";
import { cases, DOT } from "./support.mjs";

/** The whole mask of a bitmap, written like the fixture's rows. */
function rowsOf(bitmap, [height, width]) {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => (covers(bitmap, x + 0.5, y + 0.5) ? "#" : ".")).join(""),
  );
}

/** The bitmap of a mask written as rows: what decode gives for its code. */
function bitmapOf(rows) {
  const height = rows.length, width = rows[0].length, stride = width + 2;
  const pixels = new Uint8Array(stride * (height + 2));
  rows.forEach((row, y) => {
    for (let x = 0; x < width; x++) pixels[(y + 1) * stride + x + 1] = row[x] === "#" ? 1 : 0;
  });
  return { left: 0, top: 0, width, height, stride, pixels };
}

for (const { name, rows, code, area, rings: expected } of cases) {
  test(`decode: ${name}`, () => {
    const bitmap = decode(code);
    assert.deepEqual([bitmap.left, bitmap.top, bitmap.width, bitmap.height], code.box);
    assert.equal(bitmap.stride, bitmap.width + 2);
    assert.equal(bitmap.pixels.length, bitmap.stride * (bitmap.height + 2));
    assert.deepEqual(rowsOf(bitmap, code.size), rows);
    // The ring of empty pixels is empty: no pixel of the mask is anywhere else.
    assert.equal(bitmap.pixels.reduce((sum, pixel) => sum + pixel, 0), area);
  });

  test(`outline: ${name}`, () => {
    assert.deepEqual(rings(decode(code)), expected);
    assert.deepEqual(rings(bitmapOf(rows)), expected);
  });
}

test("covers nothing beyond the mask's box", () => {
  const bitmap = decode(DOT);
  assert.equal(covers(bitmap, 3, 2), true);
  assert.equal(covers(bitmap, 3.99, 2.99), true);
  const outside = [[2.99, 2], [4, 2], [3, 1.99], [3, 3], [-1, -1], [1000, 1000]];
  for (const [x, y] of outside) assert.equal(covers(bitmap, x, y), false);
});

test("an outline is drawn ring by ring", (context) => {
  const none = globalThis.Path2D;
  globalThis.Path2D = class {
    steps = [];
    moveTo(...place) { this.steps.push(["move", ...place]); }
    lineTo(...place) { this.steps.push(["line", ...place]); }
    closePath() { this.steps.push(["close"]); }
  };
  context.after(() => (globalThis.Path2D = none));
  assert.deepEqual(outline(bitmapOf(["#.#"])).steps, [
    ["move", 1, 0], ["line", 1, 1], ["line", 0, 1], ["line", 0, 0], ["close"],
    ["move", 3, 0], ["line", 3, 1], ["line", 2, 1], ["line", 2, 0], ["close"],
  ]);
});

test("noise has too many outlines for a path", () => {
  const board = Array.from({ length: 60 }, (_, y) => (y % 2 ? "#." : ".#").repeat(30));
  assert.equal(rings(bitmapOf(board)), null);
  assert.equal(outline(bitmapOf(board)), null);
  const comb = Array.from({ length: 15000 }, (_, y) => (y % 2 ? "#.#.#" : "#####")); // few outlines, many corners
  assert.equal(rings(bitmapOf(["#".repeat(5), ...comb])), null);
});
