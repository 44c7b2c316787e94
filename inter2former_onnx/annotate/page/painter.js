// Two canvases over each other: the picture, drawn when the view moves, and masks and clicks, drawn when they change.

import { store } from "./store.js";
import { tinted } from "./tint.js";

const GOOD = "#16a34a", BAD = "#dc2626";
export const MARKER = 8; // radius of a click in page pixels

export class Painter {
  image = null;
  cursor = null; // {x, y} in the picture: the keyboard's crosshair
  drag = null; // {object, click, x, y}: a click being moved
  box = null; // {x, y, toX, toY} in the picture: a box being drawn
  #pictureDirty = true;
  #requested = false;
  #afterPaint = [];

  constructor(view, picture, overlay) {
    this.view = view;
    this.canvases = [picture, overlay];
    new ResizeObserver(() => this.#resize()).observe(overlay);
    store.on("document view", () => this.request());
  }

  /** Draw soon. `picture`: the view or the picture itself has changed. */
  request(picture = false) {
    this.#pictureDirty ||= picture;
    if (this.#requested) return;
    this.#requested = true;
    requestAnimationFrame(() => this.#paint());
  }

  /** Call back once what is known now is on the screen. */
  afterPaint(callback) {
    this.#afterPaint.push(callback);
    this.request();
  }

  #resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvases[1];
    for (const canvas of this.canvases) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    this.view.resize(width, height);
    this.#pictureDirty = true;
    this.#paint(); // at once: a canvas that was resized is empty
    store.changed("view");
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

  #begin(canvas) {
    const context = canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  #paintPicture() {
    const context = this.#begin(this.canvases[0]);
    if (!this.image) return;
    const { view } = this;
    context.imageSmoothingEnabled = view.scale < 3; // close by, a pixel is a square
    context.imageSmoothingQuality = "high";
    context.drawImage(this.image, view.left, view.top, view.imageWidth * view.scale, view.imageHeight * view.scale);
  }

  #paintOverlay() {
    const context = this.#begin(this.canvases[1]);
    const { view } = this;
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
    this.#paintBox(context, this.box ?? savedBox(current));
    context.restore();
    if (current && !store.hidden.has(current.id)) this.#paintClicks(context, current);
    if (store.pending) this.#paintMarker(context, store.pending, 0.55);
    if (this.cursor) this.#paintCursor(context);
  }

  #paintMask(context, object, active) {
    if (!object.area || store.hidden.has(object.id)) return;
    const colour = store.colour(object.id).join(" "), pixel = 1 / this.view.scale;
    if (!object.path) {
      this.#paintTint(context, object.bitmap, store.colour(object.id));
      return;
    }
    context.lineJoin = "round";
    context.fillStyle = `rgb(${colour} / ${active ? 0.42 : 0.3})`;
    context.fill(object.path, "evenodd");
    context.strokeStyle = `rgb(0 0 0 / ${active ? 0.65 : 0.4})`;
    context.lineWidth = (active ? 4 : 3) * pixel;
    context.stroke(object.path);
    context.strokeStyle = active ? "#fff" : `rgb(${colour})`;
    context.lineWidth = 1.6 * pixel;
    context.stroke(object.path);
  }

  /** For masks without a path. */
  #paintTint(context, bitmap, colour) {
    context.imageSmoothingEnabled = this.view.scale < 1;
    context.drawImage(tinted(bitmap, colour), bitmap.left, bitmap.top);
  }

  #paintPreview(context, { path, bitmap, positive }) {
    const pixel = 1 / this.view.scale, colour = positive ? store.colour(store.active) : [255, 80, 80];
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

  #paintBox(context, box) {
    if (!box) return;
    const pixel = 1 / this.view.scale;
    for (const [style, width] of [["rgb(0 0 0 / 0.55)", 3], ["#fff", 1.4]]) {
      context.strokeStyle = style;
      context.lineWidth = width * pixel;
      if (width < 2) context.setLineDash([6 * pixel, 4 * pixel]);
      context.strokeRect(box.x, box.y, box.toX - box.x, box.toY - box.y);
    }
    context.setLineDash([]);
  }

  #paintClicks(context, object) {
    object.clicks.forEach(([x, y, positive], index) => {
      const moved = this.drag?.object === object.id && this.drag.click === index;
      const at = moved ? this.drag : { x: x + 0.5, y: y + 0.5 };
      this.#paintMarker(context, { x: at.x, y: at.y, positive }, 1);
    });
  }

  #paintMarker(context, { x, y, positive }, opacity) {
    const [pageX, pageY] = this.view.toPage(x, y);
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

  #paintCursor(context) {
    const [x, y] = this.view.toPage(this.cursor.x, this.cursor.y);
    for (const [style, width] of [["rgb(0 0 0 / 0.7)", 3.5], ["#fff", 1.5]]) {
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
}

function savedBox(object) {
  if (!object?.box || store.hidden.has(object.id)) return null;
  const [x, y, toX, toY] = object.box;
  return { x, y, toX, toY };
}
