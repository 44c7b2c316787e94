// The side panel: classes with their number keys, and the objects of the picture.

import { post } from "./api.js";
import * as editing from "./editing.js";
import { note } from "./notes.js";
import { store } from "./store.js";

const classes = document.getElementById("classes");
const objects = document.getElementById("objects");

export function begin() {
  document.getElementById("new-class").addEventListener("submit", addClass);
  store.on("classes document status", showClasses);
  store.on("document classes", showObjects);
  classes.addEventListener("keydown", moveInRadios);
  showClasses();
}

async function changeClasses(body) {
  try {
    const content = await post("/api/classes", body);
    store.classes = content.classes;
    store.changed("classes");
    return true;
  } catch (error) {
    note(error.message, true);
    return false;
  }
}

async function addClass(event) {
  event.preventDefault();
  const input = event.target.elements.name;
  const name = input.value.trim();
  if (!name) return;
  if (await changeClasses({ type: "add", name })) {
    input.value = "";
    editing.setClass(store.classes.at(-1).id);
  }
}

/** The class that a number key or a click on it would change: the active object's, or the next one's. */
function chosen() {
  return store.current?.category ?? store.category;
}

function showClasses() {
  if (!store.classes.some((entry) => entry.id === store.category)) store.category = store.classes[0]?.id ?? 1;
  if (classes.querySelector("input")) return; // one is being renamed
  const focused = classes.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  classes.replaceChildren(...store.classes.map(classButton));
  if (focused) classes.querySelector(`[data-id="${focused}"]`)?.focus();
}

function classButton(entry, index) {
  const button = document.createElement("button");
  const checked = entry.id === chosen();
  button.className = "class";
  button.type = "button";
  button.role = "radio";
  button.dataset.id = entry.id;
  button.tabIndex = checked ? 0 : -1;
  button.setAttribute("aria-checked", checked);
  button.title = `${entry.name}${index < 9 ? ` (${index + 1})` : ""}; double click to rename, Delete to remove`;
  const key = document.createElement("kbd");
  key.textContent = index < 9 ? index + 1 : "·";
  const text = document.createElement("span");
  text.textContent = entry.name;
  button.append(key, text);
  button.onclick = () => editing.setClass(entry.id);
  button.ondblclick = () => rename(entry, button);
  button.onkeydown = (event) => {
    if (event.key === "F2") rename(entry, button);
    else if (event.key === "Delete") changeClasses({ type: "remove", id: entry.id });
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return button;
}

function rename(entry, button) {
  const input = document.createElement("input");
  input.value = entry.name;
  input.maxLength = 80;
  input.setAttribute("aria-label", `New name of class ${entry.name}`);
  const end = async (save) => {
    if (!input.isConnected) return;
    const name = input.value.trim();
    input.remove();
    if (save && name && name !== entry.name) await changeClasses({ type: "rename", id: entry.id, name });
    store.changed("classes");
  };
  input.onblur = () => end(true);
  input.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter") end(true);
    else if (event.key === "Escape") end(false);
  };
  button.replaceChildren(input);
  input.focus();
  input.select();
}

function moveInRadios(event) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by || event.target.tagName === "INPUT") return;
  event.preventDefault();
  event.stopPropagation();
  const all = [...classes.children];
  const next = all[(all.indexOf(event.target) + by + all.length) % all.length];
  next.focus();
  next.click();
}

function showObjects() {
  const list = store.document?.objects ?? [];
  const focus = objects.contains(document.activeElement) ? document.activeElement.dataset : null;
  const sought = focus && `[data-id="${focus.id}"][data-does="${focus.does}"]`;
  objects.replaceChildren(...list.map(objectLine));
  if (sought) (objects.querySelector(sought) ?? document.getElementById("overlay")).focus({ preventScroll: true });
  document.getElementById("no-objects").hidden = list.length > 0 || !store.document;
  document.querySelector("#objects-title small").textContent = list.length || "";
  objects.querySelector(".active")?.scrollIntoView({ block: "nearest" });
}

function objectLine(object, index) {
  const line = document.createElement("li");
  const hidden = store.hidden.has(object.id), active = object.id === store.active;
  line.className = `object ${active ? "active" : ""} ${hidden ? "hidden" : ""}`;
  const name = store.className(object.category);
  const choose = document.createElement("button");
  choose.className = "choose";
  choose.setAttribute("aria-pressed", active);
  choose.title = active ? "Clicks go to this object" : "Go on with this object";
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = `rgb(${store.colour(object.id).join(" ")})`;
  const label = document.createElement("span");
  label.className = "label";
  label.textContent = `${index + 1}  ${name}`;
  const size = document.createElement("small");
  size.textContent = object.area ? `${share(object.area)} %` : "empty";
  choose.append(swatch, label, size);
  choose.onclick = () => editing.select(active ? null : object.id);
  const eye = iconButton(hidden ? "hidden" : "eye", `${hidden ? "Show" : "Hide"} object ${index + 1}, ${name}`, () => {
    if (!store.hidden.delete(object.id)) store.hidden.add(object.id);
    store.changed("document");
  });
  const bin = iconButton("bin", `Delete object ${index + 1}, ${name}`, () => editing.remove(object.id));
  for (const [button, does] of [[choose, "choose"], [eye, "eye"], [bin, "bin"]]) Object.assign(button.dataset, { id: object.id, does });
  line.append(choose, eye, bin);
  return line;
}

function share(area) {
  const percent = (100 * area) / (store.document.width * store.document.height);
  return percent < 1 ? percent.toFixed(2) : percent.toFixed(1);
}

function iconButton(icon, label, run) {
  const button = document.createElement("button");
  button.className = "icon";
  button.title = label;
  button.setAttribute("aria-label", label);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${icon}`);
  svg.append(use);
  button.append(svg);
  button.onclick = run;
  return button;
}
