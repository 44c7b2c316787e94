// Puts the parts together.

import { get, listen, post, tab } from "./api.js";
import * as editing from "./editing.js";
import { Keyboard, setTool } from "./keyboard.js";
import { note } from "./notes.js";
import { Painter } from "./painter.js";
import * as panel from "./panel.js";
import * as pictures from "./pictures.js";
import { Pointer } from "./pointer.js";
import * as status from "./status.js";
import { store } from "./store.js";
import { View } from "./view.js";

const element = (id) => document.getElementById(id);
const view = new View();
const painter = new Painter(view, element("picture"), element("overlay"));
const pointer = new Pointer(element("overlay"), view, painter);
const keyboard = new Keyboard(view, painter, pointer, () => element("help-dialog").showModal());

async function load() {
  const state = await get("/api/state");
  Object.assign(store, { pictures: state.pictures, classes: state.classes, colours: state.colours, problem: state.problem });
  element("engine").textContent = state.random_weights ? "Random weights: the masks mean nothing" : state.engine;
  element("engine").title = state.engine;
  element("out").textContent = state.out;
}

function onEvent(event) {
  if (event.type === "encoding") {
    if (event.image === store.index) store.encodingIs(event);
  } else if (event.type === "document") {
    if (event.image === store.index && event.tab !== tab && store.document) editing.reload();
  } else if (event.type === "picture") {
    Object.assign(store.pictures[event.image], { objects: event.objects, done: event.done });
    store.changed("pictures");
  } else if (event.type === "classes") {
    store.classes = event.classes;
    store.changed("classes", "document");
  } else if (event.type === "saved") {
    store.problem = event.problem;
    store.saving = event.pending;
    store.changed("status");
  }
}

function connection(connected) {
  store.connected = connected;
  store.changed("status");
}

function bindButtons() {
  const run = {
    add: () => setTool("add"),
    remove: () => setTool("remove"),
    box: () => setTool("box"),
    undo: editing.undo,
    redo: editing.redo,
    reset: editing.reset,
    "next-object": () => editing.select(null),
    help: () => element("help-dialog").showModal(),
    export: () => element("export-dialog").showModal(),
    "zoom-in": () => keyboard.zoom("+"),
    "zoom-out": () => keyboard.zoom("-"),
    "zoom-level": () => keyboard.zoom("0"),
    "zoom-fit": () => keyboard.zoom("f"),
    "show-panel": togglePanel,
  };
  for (const [id, action] of Object.entries(run)) element(id).onclick = () => action();
  const preview = element("preview");
  store.previews = localStorage.getItem("preview") !== "off";
  preview.checked = store.previews;
  preview.onchange = () => {
    store.previews = preview.checked;
    localStorage.setItem("preview", preview.checked ? "on" : "off");
    editing.clearPreview();
  };
  document.querySelector(".switch").addEventListener("keydown", (event) => {
    const tools = ["add", "remove", "box"];
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    setTool(tools[(tools.indexOf(store.tool) + by + 3) % 3]);
    element(store.tool).focus();
  });
}

function togglePanel() {
  const open = element("panel").classList.toggle("open");
  element("show-panel").setAttribute("aria-expanded", open);
}

function fillHelp() {
  element("keys").replaceChildren(
    ...keyboard.table.map(({ keys, short, text }) => {
      const line = document.createElement("div");
      const names = document.createElement("span");
      names.className = "key";
      for (const name of short ?? keys) {
        const key = document.createElement("kbd");
        key.textContent = name;
        names.append(key);
      }
      const what = document.createElement("span");
      what.textContent = text;
      line.append(names, what);
      return line;
    }),
  );
}

async function exportFiles(button) {
  button.disabled = true;
  try {
    const { files, out } = await post("/api/export", { kind: button.dataset.kind });
    note(`${files} files written to ${out}`);
    element("export-dialog").close();
  } catch (error) {
    note(error.message, true);
  }
  button.disabled = false;
}

try {
  await load();
  editing.begin(painter);
  panel.begin();
  status.begin(view);
  pictures.begin(painter);
  bindButtons();
  fillHelp();
  for (const button of document.querySelectorAll("#export-dialog [data-kind]")) button.onclick = () => exportFiles(button);
  listen(onEvent, async () => {
    await load();
    store.changed("pictures", "classes", "status");
    if (store.document) editing.reload();
  }, connection);
  const asked = Number(location.hash.slice(1)) - 1;
  const unfinished = store.pictures.findIndex((picture) => !picture.done);
  await pictures.open(store.pictures[asked] ? asked : Math.max(unfinished, 0));
  element("overlay").focus({ preventScroll: true });
} catch (error) {
  note(error.message, true);
  throw error;
}
