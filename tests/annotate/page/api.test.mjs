// api.js and news.js: requests that name the run, and a stream of news that breaks off. The server is played by the test.

import assert from "node:assert/strict";
import { test } from "node:test";
import { webcrypto } from "node:crypto";

import { Api } from "../../../inter2former_onnx/annotate/page/api.js";
import { News } from "../../../inter2former_onnx/annotate/page/news.js";
import { storeWith } from "./support.mjs";

globalThis.crypto ??= webcrypto;

const STATE = { run: "r1", pictures: [], classes: [], colours: [], problem: "", engine: "", random_weights: false };

/** Let everything happen that waits for nothing. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A page that follows the news; `network.answer` says what each address gives, and throws when nothing does. */
function scene() {
  const network = { asked: [], streams: [], answer: () => new Response(JSON.stringify(STATE)), reloads: 0 };
  globalThis.fetch = async (path, options = {}) => {
    network.asked.push({ path, body: options.body && JSON.parse(options.body) });
    return network.answer(path);
  };
  globalThis.EventSource = class {
    constructor(path) {
      this.path = path;
      this.open = true;
      network.streams.push(this);
    }
    close() {
      this.open = false;
    }
  };
  globalThis.document = Object.assign(new EventTarget(), { hidden: false });
  globalThis.location = { reload: () => network.reloads++ };
  const api = new Api(), store = storeWith();
  store.load(STATE);
  const reloaded = [];
  new News({ store, api, editing: { reload: () => reloaded.push(store.index) } }).follow();
  return { network, api, store, reloaded, stream: () => network.streams.at(-1) };
}

const gone = () => {
  throw new TypeError("Failed to fetch");
};

test("a stream that broke off is opened again, and the footer knows", async () => {
  const later = [], { setTimeout } = globalThis;
  globalThis.setTimeout = (run) => later.push(run);
  const tick = () => later.splice(0).forEach((run) => run());
  try {
    const { network, store, reloaded, stream } = scene();
    stream().onopen();
    await settle();
    assert.deepEqual([store.connected, reloaded], [true, [0]]);
    network.answer = gone;
    stream().onerror();
    await settle();
    assert.equal(store.connected, false);
    tick();
    assert.equal(network.streams.length, 2);
    assert.deepEqual(network.streams.map(({ open }) => open), [false, true]);
    stream().onerror(); // still gone
    await settle();
    tick();
    network.answer = () => new Response(JSON.stringify(STATE));
    stream().onopen();
    await settle();
    assert.deepEqual([store.connected, reloaded], [true, [0, 0]]);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

test("whoever gets answers has a connection, with or without the stream", async () => {
  const { network, api, store, stream } = scene();
  network.answer = gone;
  stream().onerror();
  await settle();
  assert.equal(store.connected, false);
  network.answer = () => new Response("{}");
  await api.open(0);
  assert.equal(store.connected, true);
  stream().onerror(); // a proxy that lets no streams through
  await settle();
  assert.equal(store.connected, true);
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange")); // no more tries
  document.hidden = false;
});

test("a page of another run loads itself anew and changes nothing", async () => {
  const { network, store, reloaded, stream } = scene();
  network.answer = () => new Response(JSON.stringify({ ...STATE, run: "r2", pictures: [{ name: "other.png" }] }));
  stream().onopen();
  await settle();
  assert.equal(network.reloads, 1);
  assert.deepEqual(reloaded, []);
  assert.notEqual(store.pictures[0]?.name, "other.png");
});

test("addresses are relative and say which picture, requests which run", async () => {
  const { network, api } = scene();
  await api.state();
  assert.equal(api.address(3, "thumbnail", "r1-a/b"), "api/images/3/thumbnail?v=r1-a%2Fb");
  await api.open(3, "r1-c");
  await api.changeClasses({ type: "remove", id: 2 });
  await api.exportFiles("png");
  assert.deepEqual(network.asked.slice(-3).map(({ body }) => body), [
    { version: "r1-c" },
    { type: "remove", id: 2, run: "r1" },
    { kind: "png", run: "r1" },
  ]);
  assert.ok([...network.asked, ...network.streams].every(({ path }) => !path.startsWith("/")));
});

test("what a refusal says is shown", async () => {
  const { network, api } = scene();
  const headers = { "content-type": "text/plain; charset=utf-8" };
  network.answer = () => new Response("start it with --allow-origin https://h", { status: 403, headers });
  await assert.rejects(api.open(0), { message: "start it with --allow-origin https://h", status: 403 });
  network.answer = () => new Response("<h1>Bad gateway</h1>", { status: 502, headers: { "content-type": "text/html" } });
  await assert.rejects(api.open(0), { message: "The server answers 502.", status: 502 });
  network.answer = () => Response.json({ error: "no such picture" }, { status: 422 });
  await assert.rejects(api.open(0), { message: "no such picture", status: 422 });
});
