// editing.js: changes take turns, and what crosses another change is dropped. The server is played by the test.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError } from "../../../inter2former_onnx/annotate/page/api.js";
import { Editing } from "../../../inter2former_onnx/annotate/page/editing.js";
import { changes, DOT, object, SIZE, storeWith } from "./support.mjs";

/** An editing whose requests are recorded and wait for `answer`. */
function scene(objects = []) {
  const store = storeWith(objects);
  const requests = [];
  const request = (kind) => (index, ...sent) =>
    new Promise((resolve, reject) => requests.push({ kind, index, sent, answer: resolve, refuse: reject }));
  const api = { edit: request("edit"), preview: request("preview"), open: request("open") };
  const shown = [];
  const notes = { show: (text, bad = false) => shown.push({ text, bad }) };
  const painter = { afterPaint: (callback) => callback() };
  return { store, requests, shown, editing: new Editing({ store, api, painter, notes }) };
}

/** Let everything happen that waits for nothing. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

const edited = (fields) => ({ ...changes(fields), mask_ms: 3, server_ms: 5 });

test("a second click waits for the first one's answer, and goes to its object on its revision", async () => {
  const { store, requests, editing } = scene();
  editing.click(1.5, 2.5, true);
  editing.click(3.5, 2.5, false);
  await settle();
  assert.equal(requests.length, 1);
  assert.deepEqual(requests[0].sent, [1, { type: "click", object: null, category: 1, x: 1.5, y: 2.5, positive: true }]);
  assert.deepEqual(store.pending, { x: 3.5, y: 2.5, positive: false });
  assert.ok(editing.busy);
  requests[0].answer(edited({ revision: 2, objects: [object(8)] }));
  await settle();
  assert.equal(store.active, 8);
  assert.equal(store.latency.server, 5);
  assert.deepEqual(requests[1].sent, [2, { type: "click", object: 8, category: 1, x: 3.5, y: 2.5, positive: false }]);
  requests[1].answer(edited({ revision: 3, objects: [object(8)] }));
  await settle();
  assert.equal(store.document.revision, 3);
  assert.equal(store.pending, null);
  assert.ok(!editing.busy);
});

test("a click beside the object before there is one is not sent", async () => {
  const { requests, shown, editing } = scene();
  editing.click(1, 1, false);
  await settle();
  assert.equal(requests.length, 0);
  assert.match(shown[0].text, /^Begin an object with a click on it/);
});

test("what is pointless by its turn is not sent", async () => {
  const { requests, editing } = scene();
  editing.undo();
  editing.redo();
  editing.reset();
  editing.remove(7);
  editing.moveClick(7, 0, 1, 1, 0);
  editing.removeClick(7, 0, 0);
  editing.removeLastClick();
  editing.setClass(2);
  await settle();
  assert.equal(requests.length, 0);
  assert.ok(!editing.busy);
});

test("a refused change takes the other window's state over, and the next one is made on it", async () => {
  const { store, requests, shown, editing } = scene([object(1)]);
  editing.setDone(true);
  editing.remove(1);
  await settle();
  const document = { ...changes({ revision: 6, objects: [object(1)] }), ...SIZE };
  requests[0].refuse(new ApiError("stale", 409, { document }));
  await settle();
  assert.equal(store.document.revision, 6);
  assert.match(shown[0].text, /another window/);
  assert.ok(shown[0].bad);
  assert.deepEqual(requests[1].sent, [6, { type: "delete", object: 1 }]);
});

test("an answer for a picture that was left is dropped", async () => {
  const { store, requests, editing } = scene();
  editing.click(1, 1, true);
  editing.click(2, 2, true);
  await settle();
  store.index = 1;
  requests[0].answer(edited({ revision: 2, objects: [object(8)] }));
  await settle();
  assert.equal(requests.length, 1);
  assert.equal(store.document.revision, 1);
});

test("a box begins an object, unless the active one has nothing yet", async () => {
  const { store, requests, editing } = scene([object(1), object(2, { clicks: [], area: 0, mask: undefined })]);
  store.active = 1;
  editing.drawBox({ x: 5, y: 4, toX: 1, toY: 2 }, 0);
  await settle();
  const edges = { left: 1, right: 5, top: 2, bottom: 4 };
  assert.deepEqual(requests[0].sent[1], { type: "box", object: null, category: 1, ...edges });
  requests[0].answer(edited({ revision: 2, objects: store.document.objects }));
  await settle();
  store.active = 2;
  editing.drawBox({ x: 1, y: 2, toX: 5, toY: 4 }, 0);
  await settle();
  assert.equal(requests[1].sent[1].object, 2);
});

test("a preview is shown if nothing else has happened by then", async () => {
  const { store, requests, editing } = scene();
  const asked = editing.preview(3.5, 2.5, true);
  requests[0].answer({ mask: DOT });
  assert.equal(await asked, true);
  assert.equal(store.preview.x, 3.5);
  editing.clearPreview();
  assert.equal(store.preview, null);
});

test("a preview that something overtakes is dropped", async () => {
  const { store, requests, editing } = scene();
  const first = editing.preview(1, 1, true);
  const second = editing.preview(2, 2, true);
  assert.ok(requests[0].sent[1].aborted);
  editing.click(3, 3, true);
  for (const { kind, answer } of requests) if (kind === "preview") answer({ mask: DOT });
  assert.equal(await first, true); // nobody waits for it
  assert.equal(await second, false); // it may be asked for again
  assert.equal(store.preview, null);
});

test("a preview of what is no longer there is dropped", async () => {
  const { store, requests, editing } = scene([object(1)]);
  const leave = [() => (store.index = 1), () => (store.active = 1), () => store.adopt(changes({ revision: 2 }))];
  for (const [number, left] of leave.entries()) {
    const asked = editing.preview(1, 1, true);
    left();
    requests[number].answer({ mask: DOT });
    assert.equal(await asked, false);
    assert.equal(store.preview, null);
  }
});

test("no preview while the picture is encoded, and none that takes away from nothing", async () => {
  const { store, requests, editing } = scene();
  assert.equal(await editing.preview(1, 1, false), true);
  store.encoding.state = "encoding";
  assert.equal(await editing.preview(1, 1, true), false);
  assert.equal(requests.length, 0);
});

test("another window's change is taken over", async () => {
  const { store, requests, shown, editing } = scene();
  editing.reload();
  await settle();
  requests[0].answer({ ...changes({ revision: 1 }), ...SIZE, encoding: { state: "ready" } });
  await settle();
  assert.deepEqual(shown, []); // it was this window's own
  editing.reload();
  await settle();
  requests[1].answer({ ...changes({ revision: 4, done: true }), ...SIZE, encoding: { state: "ready" } });
  await settle();
  assert.equal(store.document.done, true);
  assert.match(shown[0].text, /Another window changed/);
});

test("what is sent names the photograph that is shown, and goes on naming it", async () => {
  const { store, requests, editing } = scene([object(1)]);
  store.document.version = "run-1";
  editing.click(1, 1, true);
  editing.reload();
  await settle();
  assert.equal(requests[0].sent[1].version, "run-1");
  requests[0].answer(edited({ revision: 2, objects: [object(1)] }));
  await settle();
  assert.deepEqual(requests[1].sent, ["run-1"]);
  requests[1].answer({ ...changes({ revision: 3 }), ...SIZE, version: "run-2", encoding: { state: "ready" } });
  await settle();
  assert.equal(store.document.revision, 3);
  assert.equal(store.document.version, "run-1"); // the photograph is still the old one
  editing.preview(1, 1, true);
  assert.equal(requests[2].sent[0].version, "run-1");
});
