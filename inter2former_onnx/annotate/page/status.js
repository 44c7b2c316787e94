// @ts-check
// What tool bar and status line show: what may be pressed, which tool is on, saved or not, how long a click took.

import { find } from "./dom.js";
import { DOCUMENT, STATUS, VIEW } from "./topics.js";

/**
 * @import { Store } from "./store.js"
 * @import { View } from "./view.js"
 */

export class Status {
  #store;
  #view;
  #tools = {
    add: find("#add", HTMLElement),
    remove: find("#remove", HTMLElement),
    box: find("#box", HTMLElement),
  };
  #undo = find("#undo", HTMLButtonElement);
  #redo = find("#redo", HTMLButtonElement);
  #reset = find("#reset", HTMLButtonElement);
  #nextObject = find("#next-object", HTMLButtonElement);
  #done = find("#done", HTMLButtonElement);
  #stage = find("#stage", HTMLElement);
  #hint = find("#hint", HTMLElement);
  #zoomLevel = find("#zoom-level", HTMLElement);
  #saved = find("#saved", HTMLElement);
  #latency = find("#latency", HTMLElement);
  #engine = find("#engine", HTMLElement);

  /** @param {{store: Store, view: View}} parts */
  constructor({ store, view }) {
    this.#store = store;
    this.#view = view;
    store.on([DOCUMENT, STATUS], () => this.#show());
    store.on([VIEW, DOCUMENT], () => this.#showZoom());
    this.#show();
  }

  #show() {
    this.#showTools();
    this.#showLine();
  }

  #showTools() {
    const { document: content, current, tool, encoding } = this.#store;
    for (const [name, button] of Object.entries(this.#tools)) {
      button.setAttribute("aria-checked", String(tool === name));
      button.tabIndex = tool === name ? 0 : -1;
    }
    this.#undo.disabled = !content?.can_undo;
    this.#redo.disabled = !content?.can_redo;
    this.#reset.disabled = !current?.clicks.length;
    this.#nextObject.disabled = !current;
    this.#done.disabled = !content;
    this.#stage.setAttribute("aria-busy", String(["waiting", "encoding"].includes(encoding.state)));
    this.#done.setAttribute("aria-pressed", String(content?.done ?? false));
    this.#hint.textContent = hintText(this.#store);
  }

  #showLine() {
    const { problem, connected, latency, engine, randomWeights } = this.#store;
    this.#saved.className = problem || !connected ? "bad" : "";
    this.#saved.textContent = savedText(this.#store);
    this.#saved.title = this.#saved.textContent;
    this.#latency.textContent = latencyText(latency);
    if (latency) Object.assign(this.#latency.dataset, latency);
    this.#engine.textContent = randomWeights ? "Random weights: the masks mean nothing" : engine;
    this.#engine.title = engine;
  }

  #showZoom() {
    this.#zoomLevel.textContent = `${Math.round(100 * this.#view.scale)} %`;
  }
}

/**
 * Say what to do next, where it is not plain.
 * @param {Pick<Store, "document" | "current" | "tool">} store
 */
export function hintText({ document: content, current, tool }) {
  if (tool === "box") return "Drag a box around the object";
  if (tool === "remove") return current ? "Click on what does not belong to the object" : "";
  return content && !current && !content.objects.length ? "Click on an object" : "";
}

/**
 * Say whether all changes are in the files.
 * @param {Pick<Store, "saving" | "problem" | "connected">} store
 */
export function savedText({ saving, problem, connected }) {
  if (problem) return problem;
  if (!connected) return "No connection to the server";
  return saving ? "Saving…" : "All changes saved";
}

/**
 * Say how long the last click took.
 * @param {Store["latency"]} latency
 */
export function latencyText(latency) {
  return latency ? `Last click ${Math.round(latency.total)} ms (server ${Math.round(latency.server)} ms)` : "";
}
