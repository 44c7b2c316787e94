// What the page says: status line, hints, titles; and how it names keys.

import assert from "node:assert/strict";
import { test } from "node:test";

import { arrow } from "../../../inter2former_onnx/annotate/page/classes.js";
import { encodingText } from "../../../inter2former_onnx/annotate/page/encoding.js";
import { chord, chords } from "../../../inter2former_onnx/annotate/page/keyboard.js";
import { shareText } from "../../../inter2former_onnx/annotate/page/objects.js";
import { helpLines } from "../../../inter2former_onnx/annotate/page/help.js";
import { pictureProblem } from "../../../inter2former_onnx/annotate/page/pictures.js";
import { hintText, latencyText, savedText } from "../../../inter2former_onnx/annotate/page/status.js";
import { inSight, pictureTitle } from "../../../inter2former_onnx/annotate/page/strip.js";
import { counted } from "../../../inter2former_onnx/annotate/page/words.js";
import { object, storeWith } from "./support.mjs";

test("whether everything is saved", () => {
  const fine = { saving: false, problem: "", connected: true };
  assert.equal(savedText(fine), "All changes saved");
  assert.equal(savedText({ ...fine, saving: true }), "Saving…");
  assert.equal(savedText({ ...fine, saving: true, connected: false }), "No connection to the server");
  assert.equal(savedText({ saving: true, problem: "the disk is full", connected: false }), "the disk is full");
});

test("how long a click took", () => {
  assert.equal(latencyText(null), "");
  assert.equal(latencyText({ total: 101.6, server: 87.2, mask: 80 }), "Last click 102 ms (server 87 ms)");
});

test("what to do next", () => {
  const store = storeWith();
  assert.equal(hintText(store), "Click on an object");
  store.tool = "remove";
  assert.equal(hintText(store), "");
  store.tool = "box";
  assert.equal(hintText(store), "Drag a box around the object");
  const begun = storeWith([object(1)]);
  assert.equal(hintText(begun), "");
  begun.active = 1;
  begun.tool = "remove";
  assert.equal(hintText(begun), "Click on what does not belong to the object");
});

test("how the encoding goes", () => {
  const encoding = { state: "encoding", expected: 0, since: 0 };
  assert.equal(encodingText(encoding, 1.26), "Preparing the picture: 1.3 s. Clicks made now wait for it.");
  assert.equal(
    encodingText({ ...encoding, expected: 2.04 }, 0.5),
    "Preparing the picture: 0.5 of about 2.0 s. Clicks made now wait for it.",
  );
  assert.equal(encodingText({ ...encoding, state: "failed", message: "not a picture" }, 9), "not a picture");
});

test("how far a picture is", () => {
  assert.equal(pictureTitle({ name: "a.png", objects: 0, done: false }), "a.png: no objects");
  assert.equal(pictureTitle({ name: "a.png", objects: 2, done: false }), "a.png: 2 objects");
  assert.equal(pictureTitle({ name: "a.png", objects: 2, done: true }), "a.png: done");
});

test("one thing is not several", () => {
  assert.deepEqual([0, 1, 2].map((count) => counted(count, "picture")), ["0 pictures", "1 picture", "2 pictures"]);
  assert.equal(pictureTitle({ name: "a.png", objects: 1, done: false }), "a.png: 1 object");
});

test("a photograph of another size is not the one that was annotated", () => {
  const document = { width: 90, height: 70 };
  assert.equal(pictureProblem("a.png", { width: 90, height: 70 }, document), "");
  assert.equal(pictureProblem("a.png", { width: 0, height: 0 }, document), "a.png cannot be shown.");
  assert.equal(
    pictureProblem("a.png", { width: 70, height: 90 }, document),
    "a.png: 70 x 90 pixels came, its annotations are for 90 x 70. Reload the page.",
  );
});

test("of 20,000 thumbnails those in sight are drawn", () => {
  assert.deepEqual(inSight(0, 980, 20000), [0, 14]);
  assert.deepEqual(inSight(98 * 10000, 980, 20000), [9996, 10014]);
  assert.deepEqual(inSight(98 * 19995, 980, 20000), [19991, 20000]);
  assert.deepEqual(inSight(0, 980, 3), [0, 3]);
  assert.deepEqual(inSight(98 * 50, 980, 3), [3, 3]); // scrolled beyond the end
});

test("gestures come first in the help where fingers are used, and the keys stay", () => {
  const table = [{ keys: ["Click"], text: "add" }, { keys: ["Z"], text: "undo" }];
  assert.deepEqual(helpLines(table, false), table);
  const touch = helpLines(table, true);
  assert.deepEqual(touch.slice(-2), table);
  assert.deepEqual(touch[0].keys, ["Tap"]);
  assert.ok(touch.some(({ keys }) => keys.includes("Pinch")));
});

test("how much of the picture an object covers", () => {
  const picture = { width: 200, height: 100 };
  assert.equal(shareText(1, picture), "0.01");
  assert.equal(shareText(200, picture), "1.0");
  assert.equal(shareText(20000, picture), "100.0");
});

test("names of keys", () => {
  const key = (name, ...held) => chord({ key: name, ...Object.fromEntries(held.map((each) => [`${each}Key`, true])) });
  assert.equal(key("Z", "ctrl", "shift"), "ctrl+shift+z");
  assert.equal(key("z", "meta"), "ctrl+z");
  assert.equal(key("?", "shift"), "?");
  assert.equal(key("X", "shift"), "x");
  assert.equal(key("Enter", "shift"), "shift+enter");
  assert.equal(key("PageDown"), "page down");
  assert.equal(key("Escape"), "esc");
  assert.equal(key("="), "+");
  assert.equal(key("z", "alt"), "");
});

/** Names for a key in a place, with what is held: AltGr as Windows sends it. */
function pressed(key, code, ...names) {
  const flags = { altKey: false, ctrlKey: false, metaKey: false, shiftKey: false };
  for (const name of names) flags[`${name}Key`] = true;
  const altGraph = names.includes("altGraph");
  if (altGraph) flags.altKey = flags.ctrlKey = true;
  return chords({ key, code, ...flags, getModifierState: (name) => name === "AltGraph" && altGraph });
}

test("letters without our characters act by their place", () => {
  assert.deepEqual(pressed("я", "KeyZ", "ctrl"), ["ctrl+я", "ctrl+z"]);
  assert.deepEqual(pressed("Я", "KeyZ", "ctrl", "shift"), ["ctrl+shift+я", "ctrl+shift+z"]);
  assert.deepEqual(pressed("т", "KeyN"), ["т", "n"]);
  assert.deepEqual(pressed("Т", "KeyN", "shift"), ["т", "n"]);
  for (const [key, code, name] of [["ν", "KeyN", "n"], ["מ", "KeyN", "n"], ["ㅜ", "KeyN", "n"], ["ى", "KeyN", "n"]]) {
    assert.equal(pressed(key, code).at(-1), name, key);
  }
  assert.deepEqual(pressed("х", "BracketLeft"), ["х", "["]);
  assert.deepEqual(pressed("ю", "Period"), ["ю", "."]);
  assert.equal(pressed("Process", "KeyN").at(-1), "n"); // an input method has the key
});

test("letters of other Latin layouts act by their character alone", () => {
  assert.deepEqual(pressed("y", "KeyZ", "ctrl"), ["ctrl+y"]); // QWERTZ: redo, not undo
  assert.deepEqual(pressed("z", "KeyY", "ctrl"), ["ctrl+z"]);
  assert.deepEqual(pressed("a", "KeyQ"), ["a"]); // AZERTY
  assert.deepEqual(pressed(",", "KeyM"), [","]);
  assert.deepEqual(pressed("ı", "KeyI"), ["ı"]); // Turkish
});

test("digits act on layouts that have other characters in their places", () => {
  const azerty = ["&", "é", '"', "'", "(", "-", "è", "_", "ç", "à"];
  azerty.forEach((key, at) => {
    const digit = String((at + 1) % 10);
    assert.deepEqual(pressed(key, `Digit${digit}`), [key, digit]);
    assert.equal(pressed(digit, `Digit${digit}`, "shift")[0], digit);
  });
  assert.deepEqual(pressed("!", "Digit1", "shift"), ["!"]);
  assert.deepEqual(pressed("1", "Numpad1"), ["1"]);
});

test("brackets are reached with AltGr or by their place", () => {
  assert.deepEqual(pressed("[", "Digit8", "altGraph")[0], "["); // German
  assert.deepEqual(pressed("ü", "BracketLeft"), ["ü", "["]);
  assert.deepEqual(pressed("Dead", "BracketLeft"), ["dead", "["]); // AZERTY's circumflex
  assert.deepEqual(pressed(")", "Minus"), [")"]);
  assert.deepEqual(pressed("n", "KeyN", "alt"), []);
});

test("what is no character has no place", () => {
  for (const key of ["Enter", "Delete", "F2", "Shift", "Control"]) assert.equal(pressed(key, key).length, 1);
});

test("arrows in a row of radio buttons", () => {
  assert.deepEqual(["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "Enter"].map(arrow), [1, 1, -1, -1, 0]);
});
