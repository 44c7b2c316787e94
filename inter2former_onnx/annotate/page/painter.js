// @ts-check
// Two canvases over each other: the picture, drawn when the view moves, and masks and clicks, drawn when they change.

import { context2d, find } from "./dom.js";
import { tinted } from "./tint.js";
import { DOCUMENT, VIEW } from "./topics.js";

/**
 * @import { Store } from "./store.js"
 * @import { Bitmap, Colour, Drawable, Point, Prompt, Rectangle, ShownObject } from "./types.js"
 * @import { View } from "./view.js"
 */

const GOOD = "#16a34a", BAD = "#dc2626";
/** @type {Colour} */
const AWAY = [255, 80, 80]; // of a preview that takes away
export const MARKER = 8; // radius of a click in page pixels

export class Painter {
  /** @type {HTMLImageElement | null} */
  image = null;
  /** @type {Point | null} */
  cursor = null; // in the picture: the keyboard's crosshair
  /** @type {{object: number, click: number, x: number, y: number} | null} */
  drag = null; // a click being moved
  /** @type {Rectangle | null} */
  box = null; // in the picture: a box being drawn
  #store;
  #view;
  #picture = find("#picture", HTMLCanvasElement);
  #overlay = find("#overlay", HTMLCanvasElement);
  #pictureDirty = true;
  #requested = false;
  /** @type {(() => void)[]} */
  #afterPaint = [];

  /** @param {{store: Store, view: View}} parts */
  constructor({ store, view }) {
    this.#store = store;
    this.#view = view;
    new ResizeObserver(() => this.#resize()).observe(this.#overlay);
    store.on([DOCUMENT, VIEW], () => this.request());
  }

  /**
   * Draw soon.
   * @param {boolean} [picture]  whether the view or the picture itself has changed
   */
  request(picture = false) {
    this.#pictureDirty ||= picture;
    if (this.#requested) return;
    this.#requested = true;
    requestAnimationFrame(() => this.#paint());
  }

  /**
   * Call back once what is known now is on the screen.
   * @param {() => void} callback
   */
  afterPaint(callback) {
    this.#afterPaint.push(callback);
    this.request();
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#overlay;
    for (const canvas of [this.#picture, this.#overlay]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    this.#view.resize(width, height);
    this.#pictureDirty = true;
    this.#paint(); // at once: a canvas that was resized is empty
    this.#store.changed(VIEW);
  }

  #paint() {
    this.#requested = false;
    if (this.#pictureDirty) this.#paintPicture();
    this.#pictureDirty = false;
    this.#paintOverlay();
    const callbacks = this.#afterPaint.splice(0);
    // A message comes after the frame has been handed over.
    if (callbacks.length) setTimeout(() => callbacks.forEach((callback) => callback()), 0);
  }

  /** @param {HTMLCanvasElement} canvas */
  #begin(canvas) {
    const context = context2d(canvas);
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  #paintPicture() {
    const context = this.#begin(this.#picture);
    if (!this.image) return;
    const view = this.#view;
    context.imageSmoothingEnabled = view.scale < 3; // close by, a pixel is a square
    context.imageSmoothingQuality = "high";
    context.drawImage(this.image, view.left, view.top, view.imageWidth * view.scale, view.imageHeight * view.scale);
  }

  #paintOverlay() {
    const context = this.#begin(this.#overlay);
    const store = this.#store, view = this.#view;
    if (!this.image || !store.document) return;
    context.save();
    context.translate(view.left, view.top);
    context.scale(view.scale, view.scale);
    for (const object of store.document.objects) {
      if (object.id !== store.active) this.#paintMask(context, object, false);
    }
    const { current } = store;
    if (current) this.#paintMask(context, current, true);
    if (store.preview) this.#paintPreview(context, store.preview);
    this.#paintBox(context, this.box ?? this.#savedBox(current));
    context.restore();
    if (current && !store.hidden.has(current.id)) this.#paintClicks(context, current);
    if (store.pending) this.#paintMarker(context, store.pending, 0.55);
    if (this.cursor) this.#paintCursor(context, this.cursor);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {ShownObject} object
   * @param {boolean} active
   */
  #paintMask(context, { id, area, bitmap, path }, active) {
    if (!area || !bitmap || this.#store.hidden.has(id)) return;
    const colour = this.#store.colour(id), pixel = 1 / this.#view.scale;
    if (!path) {
      this.#paintTint(context, bitmap, colour);
      return;
    }
    const rgb = colour.join(" ");
    context.lineJoin = "round";
    context.fillStyle = `rgb(${rgb} / ${active ? 0.42 : 0.3})`;
    context.fill(path, "evenodd");
    context.strokeStyle = `rgb(0 0 0 / ${active ? 0.65 : 0.4})`;
    context.lineWidth = (active ? 4 : 3) * pixel;
    context.stroke(path);
    context.strokeStyle = active ? "#fff" : `rgb(${rgb})`;
    context.lineWidth = 1.6 * pixel;
    context.stroke(path);
  }

  /**
   * Paint a mask without a path.
   * @param {CanvasRenderingContext2D} context
   * @param {Bitmap} bitmap
   * @param {Colour} colour
   */
  #paintTint(context, bitmap, colour) {
    context.imageSmoothingEnabled = this.#view.scale < 1;
    context.drawImage(tinted(bitmap, colour), bitmap.left, bitmap.top);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Drawable & Prompt} preview
   */
  #paintPreview(context, { path, bitmap, positive }) {
    const pixel = 1 / this.#view.scale, colour = positive ? this.#store.colour(this.#store.active) : AWAY;
    if (!path) {
      if (bitmap.width) this.#paintTint(context, bitmap, colour);
      return;
    }
    context.fillStyle = `rgb(${colour.join(" ")} / 0.22)`;
    context.fill(path, "evenodd");
    context.strokeStyle = "rgb(0 0 0 / 0.55)";
    context.lineWidth = 2.6 * pixel;
    context.stroke(path);
    context.strokeStyle = "#fff";
    context.lineWidth = 1.3 * pixel;
    context.setLineDash([5 * pixel, 4 * pixel]);
    context.stroke(path);
    context.setLineDash([]);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Rectangle | null} box
   */
  #paintBox(context, box) {
    if (!box) return;
    const pixel = 1 / this.#view.scale;
    for (const { style, width } of [{ style: "rgb(0 0 0 / 0.55)", width: 3 }, { style: "#fff", width: 1.4 }]) {
      context.strokeStyle = style;
      context.lineWidth = width * pixel;
      if (width < 2) context.setLineDash([6 * pixel, 4 * pixel]);
      context.strokeRect(box.x, box.y, box.toX - box.x, box.toY - box.y);
    }
    context.setLineDash([]);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {ShownObject} object
   */
  #paintClicks(context, object) {
    const { drag } = this;
    object.clicks.forEach(([x, y, positive], index) => {
      const moved = drag?.object === object.id && drag.click === index;
      const at = moved ? drag : { x: x + 0.5, y: y + 0.5 };
      this.#paintMarker(context, { x: at.x, y: at.y, positive: positive === 1 }, 1);
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Prompt} click
   * @param {number} opacity
   */
  #paintMarker(context, { x, y, positive }, opacity) {
    const [pageX, pageY] = this.#view.toPage(x, y);
    context.globalAlpha = opacity;
    context.beginPath();
    context.arc(pageX, pageY, MARKER, 0, 2 * Math.PI);
    context.fillStyle = positive ? GOOD : BAD;
    context.fill();
    context.lineWidth = 4;
    context.strokeStyle = "rgb(0 0 0 / 0.45)";
    context.stroke();
    context.lineWidth = 1.8;
    context.strokeStyle = "#fff";
    context.stroke();
    context.beginPath();
    context.moveTo(pageX - 3.8, pageY);
    context.lineTo(pageX + 3.8, pageY);
    if (positive) {
      context.moveTo(pageX, pageY - 3.8);
      context.lineTo(pageX, pageY + 3.8);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Point} cursor
   */
  #paintCursor(context, cursor) {
    const [x, y] = this.#view.toPage(cursor.x, cursor.y);
    for (const { style, width } of [{ style: "rgb(0 0 0 / 0.7)", width: 3.5 }, { style: "#fff", width: 1.5 }]) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      for (const [stepX, stepY] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * stepX, y + 4 * stepY);
        context.lineTo(x + 16 * stepX, y + 16 * stepY);
      }
      context.stroke();
    }
  }

  /**
   * The box that an object was begun with.
   * @param {ShownObject | null} object
   * @returns {Rectangle | null}
   */
  #savedBox(object) {
    if (!object?.box || this.#store.hidden.has(object.id)) return null;
    const [x, y, toX, toY] = object.box;
    return { x, y, toX, toY };
  }
}
