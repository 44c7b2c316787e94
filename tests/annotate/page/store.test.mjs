// store.js: what the page takes over from the server, and who is told.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Store } from "../../../inter2former_onnx/annotate/page/store.js";
import { CLASSES, DOCUMENT, PICTURES, STATUS, VIEW } from "../../../inter2former_onnx/annotate/page/topics.js";
import { changes, DOT, object, SIZE, storeWith } from "./support.mjs";

/** The topics that a store names from now on. */
function heard(store) {
  const topics = [];
  for (const topic of [DOCUMENT, PICTURES, CLASSES, VIEW, STATUS]) store.on([topic], () => topics.push(topic));
  return topics;
}

test("who listens to a topic is told when it has changed", () => {
  const store = new Store();
  const seen = heard(store);
  store.changed(VIEW, CLASSES);
  assert.deepEqual(seen, [VIEW, CLASSES]);
});

test("a document that is adopted: masks, the list of pictures, the topics", () => {
  const store = storeWith();
  const seen = heard(store);
  store.adopt(changes({ objects: [object(4), object(5, { area: 0, mask: undefined })], done: true }));
  assert.deepEqual(seen, [DOCUMENT, PICTURES]);
  assert.equal(store.document.objects[0].bitmap.pixels.reduce((sum, pixel) => sum + pixel), 1);
  assert.deepEqual(store.pictures[0], { name: "one.png", objects: 1, done: true });
  assert.deepEqual({ width: store.document.width, height: store.document.height }, SIZE);
});

test("a mask that an answer leaves out is the one that is there", () => {
  const store = storeWith([object(4)]);
  const { bitmap } = store.object(4);
  store.adopt(changes({ objects: [object(4, { mask: undefined, category: 2 })] }));
  assert.equal(store.object(4).bitmap, bitmap);
  assert.equal(store.object(4).category, 2);
});

test("an object that is gone is no longer the active one", () => {
  const store = storeWith([object(4)]);
  store.active = 4;
  store.adopt(changes({ objects: [object(4)] }));
  assert.equal(store.current.id, 4);
  store.adopt(changes());
  assert.equal(store.active, null);
  assert.equal(store.current, null);
});

test("the object at a place is the topmost that is shown", () => {
  const store = storeWith([object(4), object(7), object(9, { mask: undefined, area: 0 })]);
  const [x, y] = DOT.box;
  assert.equal(store.objectAt(x + 0.5, y + 0.5).id, 7);
  store.hidden.add(7);
  assert.equal(store.objectAt(x + 0.5, y + 0.5).id, 4);
  assert.equal(store.objectAt(0, 0), null);
  assert.equal(new Store().objectAt(0, 0), null);
});

test("colours go round; the next object's is known before", () => {
  const store = storeWith([object(1), object(2)]);
  store.colours = [[1, 1, 1], [2, 2, 2]];
  assert.deepEqual([1, 2, 3].map((id) => store.colour(id)[0]), [1, 2, 1]);
  assert.deepEqual(store.colour(null), store.colour(3));
});

test("classes have names", () => {
  const store = new Store();
  store.classes = [{ id: 3, name: "cat" }];
  assert.equal(store.className(3), "cat");
  assert.equal(store.className(4), "?");
});

test("news about the encoding hold against an older answer", () => {
  const store = new Store();
  store.encodingWas({ state: "waiting", seconds: 2 });
  assert.ok(Math.abs(performance.now() - 2000 - store.encoding.since) < 1000);
  store.encodingIs({ state: "ready" });
  store.encodingWas({ state: "encoding", seconds: 1 });
  assert.equal(store.encoding.state, "ready");
});
