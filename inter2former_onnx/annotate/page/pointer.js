// @ts-check
// Mouse, pen and fingers on the picture: clicks, markers dragged, boxes drawn, the view moved, previews asked for.

import { find } from "./dom.js";
import { MARKER } from "./painter.js";
import { STATUS, VIEW } from "./topics.js";

/**
 * @import { Editing } from "./editing.js"
 * @import { Painter } from "./painter.js"
 * @import { Panel } from "./panel.js"
 * @import { Store } from "./store.js"
 * @import { Point } from "./types.js"
 * @import { View } from "./view.js"
 */

/** @typedef {{object: number, click: number}} Marker  the position of a click among an object's */

/**
 * What the pointers that are down are doing; (x, y) is where on the page it began.
 * @typedef {{kind: "pinch"}
 *   | Start & {kind: "pan"}
 *   | Start & {kind: "box"}
 *   | Start & {kind: "click", positive: boolean}
 *   | Start & Marker & {kind: "marker"}} Gesture
 * @typedef {Point & {moved: boolean}} Start
 */

const STILL = 5; // page pixels that a click may shake
const STEP = 1.4; // factor of a key or a button that zooms
const AGAIN = 250; // milliseconds until it is asked for again when it was not the moment
const DOUBLE = 450; // milliseconds between the two presses of a double click
const SMALLEST_BOX = 3; // pixels of the picture
const REST = 70; // milliseconds that the pointer rests before a preview is asked for

export class Pointer {
  /** @type {Point | null} */
  last = null; // where on the page the mouse is, null outside
  spaceHeld = false;
  #store;
  #editing;
  #painter;
  #view;
  #panel;
  #canvas = find("#overlay", HTMLCanvasElement);
  /** @type {Map<number, Point>} */
  #down = new Map(); // pointers that are down
  /** @type {Gesture | null} */
  #gesture = null;
  #resting = 0;
  /** @type {(Marker & {time: number}) | null} */
  #pressed = null; // the click whose marker was pressed last, and when

  /** @param {{store: Store, editing: Editing, painter: Painter, view: View, panel: Panel}} parts */
  constructor({ store, editing, painter, view, panel }) {
    this.#store = store;
    this.#editing = editing;
    this.#painter = painter;
    this.#view = view;
    this.#panel = panel;
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", (event) => this.#cancel(event));
    canvas.addEventListener("pointerleave", () => this.#leave());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("dblclick", (event) => event.preventDefault());
  }

  /**
   * Give up what the pointers are doing.
   * @returns {boolean}  whether they were doing something
   */
  escape() {
    const busy = this.#gesture !== null;
    this.#gesture = null;
    this.#painter.drag = this.#painter.box = null;
    this.#painter.request();
    return busy;
  }

  /**
   * Ask for a preview at a place of the picture when nothing has moved for a moment.
   * @param {number} x
   * @param {number} y
   * @param {boolean} positive
   * @param {number} [pause]  that moment, in milliseconds
   */
  rest(x, y, positive, pause = REST) {
    clearTimeout(this.#resting);
    if (!this.#store.previews) return;
    const timer = (this.#resting = setTimeout(async () => {
      const answered = await this.#editing.preview(x, y, positive);
      // Encoding or a click came first: again, unless the pointer has moved on.
      if (!answered && timer === this.#resting) this.rest(x, y, positive, AGAIN);
    }, pause));
  }

  /** Zoom in by one step, about the mouse if it is over the picture. */
  zoomIn() {
    this.#zoom(STEP);
  }

  /** Zoom out by one step. */
  zoomOut() {
    this.#zoom(1 / STEP);
  }

  /** Zoom until a pixel of the picture is one of the page. */
  ownSize() {
    this.#zoom(1 / this.#view.scale);
  }

  /** Bring the whole picture in sight. */
  fit() {
    if (!this.#store.document) return;
    this.#view.fit();
    this.#viewChanged();
  }

  #stopResting() {
    clearTimeout(this.#resting);
    this.#resting = 0;
  }

  /**
   * @param {MouseEvent} event
   * @returns {Point}  from the canvas's corner
   */
  #place(event) {
    const frame = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  /** @param {PointerEvent} event */
  #press(event) {
    this.#canvas.focus({ preventScroll: true });
    const place = this.#place(event);
    this.#down.set(event.pointerId, place);
    this.#canvas.setPointerCapture(event.pointerId);
    this.#painter.cursor = null;
    this.#stopResting();
    const closed = this.#panel.close(); // a press beside the open sheet means the sheet, not the picture
    if (this.#down.size === 2) {
      this.escape();
      this.#gesture = { kind: "pinch" };
    } else if (this.#down.size === 1) {
      this.#gesture = closed ? null : this.#begin(event, place);
    }
  }

  /**
   * @param {PointerEvent} event
   * @param {Point} place
   * @returns {Gesture}
   */
  #begin(event, place) {
    const start = { ...place, moved: false };
    if (event.button === 1 || this.spaceHeld) return { ...start, kind: "pan" };
    const marker = event.button === 0 && this.#markerAt(place, event.pointerType === "touch" ? 14 : 4);
    if (marker) return { ...start, kind: "marker", ...marker };
    const negative = event.button === 2 || event.altKey || this.#store.tool === "remove";
    if (event.button === 0 && (this.#store.tool === "box" || event.shiftKey)) return { ...start, kind: "box" };
    return { ...start, kind: "click", positive: !negative };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const place = this.#place(event);
    const before = this.#down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.#hover(event, place);
      return;
    }
    const gesture = this.#gesture;
    if (gesture?.kind === "pinch") this.#pinch(event.pointerId, before, place);
    this.#down.set(event.pointerId, place);
    if (!gesture || gesture.kind === "pinch") return;
    gesture.moved ||= Math.hypot(place.x - gesture.x, place.y - gesture.y) > STILL;
    if (!gesture.moved) return;
    const [x, y] = this.#view.toImage(place.x, place.y);
    if (gesture.kind === "marker") {
      const { object, click } = gesture;
      const inside = this.#clamped(x, y);
      this.#painter.drag = { object, click, x: inside.x, y: inside.y };
      this.#painter.request();
    } else if (gesture.kind === "box") {
      const from = this.#clamped(...this.#view.toImage(gesture.x, gesture.y)), to = this.#clamped(x, y);
      this.#painter.box = { x: from.x, y: from.y, toX: to.x, toY: to.y };
      this.#painter.request();
    } else {
      // A click that moves is no click: it moves the picture.
      this.#gesture = { kind: "pan", x: gesture.x, y: gesture.y, moved: true };
      this.#editing.clearPreview();
      this.#view.pan(place.x - before.x, place.y - before.y);
      this.#painter.request(true);
    }
  }

  /** @param {PointerEvent} event */
  #release(event) {
    const gesture = this.#gesture;
    const place = this.#place(event);
    this.#down.delete(event.pointerId);
    if (this.#down.size) return;
    this.#gesture = null;
    if (!gesture || !this.#store.document) return;
    const [x, y] = this.#view.toImage(place.x, place.y);
    const started = performance.now();
    if (gesture.kind === "click" && this.#view.contains(x, y)) {
      this.#editing.click(x, y, gesture.positive, started);
    } else if (gesture.kind === "marker") {
      const at = this.#painter.drag;
      this.#painter.drag = null;
      if (at) this.#editing.moveClick(gesture.object, gesture.click, at.x, at.y, started);
      else if (this.#isSecond(gesture, started)) this.#editing.removeClick(gesture.object, gesture.click, started);
      this.#painter.request();
    } else if (gesture.kind === "box") {
      const { box } = this.#painter;
      this.#painter.box = null;
      this.#painter.request();
      if (box && Math.min(Math.abs(box.toX - box.x), Math.abs(box.toY - box.y)) >= SMALLEST_BOX) {
        this.#editing.drawBox(box, started);
      }
      if (this.#store.tool === "box") {
        this.#store.tool = "add";
        this.#store.changed(STATUS);
      }
    }
  }

  /**
   * Whether a press of a click's marker is the second in a row.
   * @param {Marker} marker
   * @param {number} time
   */
  #isSecond({ object, click }, time) {
    const before = this.#pressed;
    this.#pressed = { object, click, time };
    return before !== null && before.object === object && before.click === click && time - before.time < DOUBLE;
  }

  /** @param {PointerEvent} event */
  #cancel(event) {
    this.#down.delete(event.pointerId);
    this.escape();
  }

  #leave() {
    this.last = null;
    this.#stopResting();
    this.#editing.clearPreview();
  }

  /**
   * @param {PointerEvent} event
   * @param {Point} place
   */
  #hover(event, place) {
    const before = this.last;
    this.last = place;
    if (before && before.x === place.x && before.y === place.y) return;
    const [x, y] = this.#view.toImage(place.x, place.y);
    const marker = this.#markerAt(place, 4);
    this.#canvas.style.cursor = this.spaceHeld ? "grab" : marker ? "move" : "crosshair";
    if (this.#painter.cursor) {
      this.#painter.cursor = null;
      this.#painter.request();
    }
    const { preview } = this.#store;
    if (preview && Math.hypot(preview.x - x, preview.y - y) * this.#view.scale > STILL) this.#editing.clearPreview();
    if (marker || this.#store.tool === "box" || !this.#store.document || !this.#view.contains(x, y)) {
      this.#stopResting();
      return;
    }
    this.rest(x, y, !(event.altKey || this.#store.tool === "remove"));
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const place = this.#place(event);
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    if (event.shiftKey) {
      this.#view.pan(-(event.deltaX + event.deltaY) * unit, 0);
    } else {
      const amount = Math.min(Math.max(event.deltaY * unit, -240), 240);
      this.#view.zoom(Math.exp(-amount * (event.ctrlKey ? 0.01 : 0.002)), place.x, place.y);
    }
    this.#viewChanged();
  }

  /**
   * @param {number} id  of the finger that moved
   * @param {Point} before
   * @param {Point} place
   */
  #pinch(id, before, place) {
    const [other] = [...this.#down].filter(([key]) => key !== id).map(([, value]) => value);
    const middle = { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 };
    /** @type {(point: Point) => number} */
    const apart = (point) => Math.max(20, Math.hypot(point.x - other.x, point.y - other.y));
    this.#view.pan((place.x - before.x) / 2, (place.y - before.y) / 2);
    this.#view.zoom(apart(place) / apart(before), middle.x, middle.y);
    this.#viewChanged();
  }

  /**
   * Find the click of the active object under a place of the page.
   * @param {Point} place
   * @param {number} reach  page pixels beyond the marker that still hit it
   * @returns {Marker | null}
   */
  #markerAt(place, reach) {
    const { current } = this.#store;
    if (!current) return null;
    for (let click = current.clicks.length - 1; click >= 0; click--) {
      const [x, y] = this.#view.toPage(current.clicks[click][0] + 0.5, current.clicks[click][1] + 0.5);
      if (Math.hypot(place.x - x, place.y - y) <= MARKER + reach) return { object: current.id, click };
    }
    return null;
  }

  /** @param {number} factor */
  #zoom(factor) {
    if (!this.#store.document) return;
    this.#view.zoom(factor, this.last?.x, this.last?.y);
    this.#viewChanged();
  }

  #viewChanged() {
    this.#painter.request(true);
    this.#store.changed(VIEW);
  }

  /**
   * The place in the picture next to a place.
   * @param {number} x
   * @param {number} y
   */
  #clamped(x, y) {
    const { imageWidth, imageHeight } = this.#view;
    return { x: Math.min(Math.max(x, 0), imageWidth - 0.01), y: Math.min(Math.max(y, 0), imageHeight - 0.01) };
  }
}
