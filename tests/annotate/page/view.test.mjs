// view.js: between the picture's pixels and those of the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { View } from "../../../inter2former_onnx/annotate/page/view.js";

/** A view of 800 x 600 page pixels with a picture. */
function view(imageWidth = 400, imageHeight = 200) {
  const made = new View();
  made.resize(800, 600);
  made.show(imageWidth, imageHeight);
  return made;
}

function close(found, expected) {
  found.forEach((value, index) => assert.ok(Math.abs(value - expected[index]) < 1e-9, `${found} is not ${expected}`));
}

test("a new picture is fitted into the middle, with room around it", () => {
  const fitted = view();
  assert.equal(fitted.scale, (800 - 2 * 24) / 400);
  close(fitted.toPage(200, 100), [400, 300]);
  assert.ok(fitted.fitted);
  assert.equal(view(2, 1).scale, 40); // as large as it gets
});

test("the order of size and picture does not matter", () => {
  const late = new View();
  late.show(400, 200);
  late.resize(800, 600);
  assert.deepEqual({ ...late }, { ...view() });
});

test("both directions undo each other", () => {
  const moved = view();
  moved.zoom(3, 100, 50);
  moved.pan(12, -7);
  close(moved.toImage(...moved.toPage(17.25, 140.5)), [17.25, 140.5]);
});

test("zooming keeps the place under the pointer, and stops at both ends", () => {
  const zoomed = view();
  const under = zoomed.toImage(300, 280);
  zoomed.zoom(2.5, 300, 280);
  close(zoomed.toImage(300, 280), under);
  assert.ok(!zoomed.fitted);
  zoomed.zoom(1e9);
  assert.equal(zoomed.scale, 40);
  zoomed.zoom(1e-9);
  assert.equal(zoomed.scale, 1 / 4); // the fitting scale is above 1: a quarter of the picture's own size
});

test("the picture cannot be pushed out of sight", () => {
  const pushed = view();
  pushed.pan(1e6, -1e6);
  assert.equal(pushed.left, 800 - 60);
  assert.equal(pushed.toPage(0, 200)[1], 60);
});

test("a resized page keeps the middle, or fits what was fitted", () => {
  const fitted = view();
  fitted.resize(528, 600);
  assert.equal(fitted.scale, (528 - 2 * 24) / 400);
  const zoomed = view();
  zoomed.zoom(4, 100, 100);
  const { scale } = zoomed, middle = zoomed.toImage(400, 300);
  zoomed.resize(500, 900);
  assert.equal(zoomed.scale, scale);
  close(zoomed.toImage(250, 450), middle);
});

test("revealing moves as little as it takes", () => {
  const shown = view();
  const { left, top } = shown;
  shown.reveal(200, 100);
  assert.deepEqual([shown.left, shown.top], [left, top]);
  shown.zoom(8, 400, 300);
  shown.reveal(399, 100);
  close([shown.toPage(399, 100)[0]], [800 - 30]);
});

test("what lies in the picture", () => {
  const shown = view();
  for (const [x, y] of [[0, 0], [399.9, 199.9]]) assert.ok(shown.contains(x, y));
  for (const [x, y] of [[-0.1, 0], [400, 0], [0, 200]]) assert.ok(!shown.contains(x, y));
  assert.ok(!new View().contains(0, 0));
});
