// @ts-check
// Which picture is shown, and which others there are: its name, the buttons beside it, the strip of thumbnails. Of the
// strip only what is in sight is drawn, and asked of the server: a folder may have 20,000 pictures.

import { find } from "./dom.js";
import { PICTURES } from "./topics.js";
import { counted } from "./words.js";

/**
 * @import { Api } from "./api.js"
 * @import { Pictures } from "./pictures.js"
 * @import { Store } from "./store.js"
 * @import { Picture } from "./types.js"
 */

/**
 * A thumbnail of the strip.
 * @typedef {object} Thumbnail
 * @property {HTMLButtonElement} button
 * @property {HTMLImageElement} image
 * @property {HTMLElement} badge
 * @property {string} key  what it shows
 */

const WIDTH = 92; // page pixels of a thumbnail, as parts.css has it
const PITCH = WIDTH + 6; // from one to the next
const MORE = 4; // thumbnails drawn on each side of those in sight
const PAUSE = 100; // milliseconds that the strip stands still before thumbnails are loaded

export class Strip {
  #store;
  #api;
  #pictures;
  #place = find("#strip", HTMLElement);
  #reel = document.createElement("div");
  #name = find("#name", HTMLElement);
  #previous = find("#previous", HTMLButtonElement);
  #following = find("#following", HTMLButtonElement);
  /** @type {Map<number, Thumbnail>} */
  #drawn = new Map(); // by the picture's index
  #shown = -1; // index of the picture that was scrolled to
  #busy = false; // whether it is being prepared
  #standing = 0;

  /** @param {{store: Store, api: Api, pictures: Pictures}} parts */
  constructor({ store, api, pictures }) {
    this.#store = store;
    this.#api = api;
    this.#pictures = pictures;
    this.#previous.onclick = () => pictures.step(-1);
    this.#following.onclick = () => pictures.step(1);
    this.#place.hidden = store.pictures.length < 2;
    this.#reel.className = "reel";
    this.#reel.style.width = `${store.pictures.length * PITCH - (PITCH - WIDTH)}px`;
    this.#place.replaceChildren(this.#reel);
    this.#place.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#scrolled()).observe(this.#place);
    store.on([PICTURES], () => this.#show());
    this.#show();
  }

  /**
   * Show that the picture is being prepared.
   * @param {boolean} busy
   */
  setBusy(busy) {
    this.#busy = busy;
    this.#fill(this.#store.index);
  }

  #show() {
    const { pictures, index: current } = this.#store;
    if (this.#shown !== current) {
      this.#place.scrollLeft = current * PITCH - (this.#place.clientWidth - WIDTH) / 2;
      this.#shown = current;
    }
    this.#draw();
    for (const index of this.#drawn.keys()) this.#fill(index);
    this.#load();
    const name = pictures[current]?.name ?? "";
    find(".text", HTMLElement, this.#name).textContent = name;
    const place = pictures.length > 1 ? `${current + 1} / ${pictures.length}` : "";
    find("small", HTMLElement, this.#name).textContent = place;
    this.#name.title = name;
    this.#previous.disabled = current <= 0;
    this.#following.disabled = current + 1 >= pictures.length;
  }

  #scrolled() {
    this.#draw();
    clearTimeout(this.#standing);
    this.#standing = setTimeout(() => this.#load(), PAUSE);
  }

  /** Draw the thumbnails in sight and a few more; let go of the others, but not of the one that has the focus. */
  #draw() {
    const { scrollLeft, clientWidth } = this.#place;
    const [begin, end] = inSight(scrollLeft, clientWidth, this.#store.pictures.length);
    for (const [index, { button, image }] of this.#drawn) {
      if ((index >= begin && index < end) || button === document.activeElement) continue;
      image.removeAttribute("src"); // ends its request
      button.remove();
      this.#drawn.delete(index);
    }
    for (let index = begin; index < end; index++) {
      if (this.#drawn.has(index)) continue;
      const thumbnail = this.#thumbnail(index);
      const after = [...this.#drawn].filter(([other]) => other > index).sort(([one], [other]) => one - other)[0];
      this.#reel.insertBefore(thumbnail.button, after?.[1].button ?? null);
      this.#drawn.set(index, thumbnail);
      this.#fill(index);
    }
  }

  /** Load the thumbnails that are drawn. */
  #load() {
    for (const [index, { image }] of this.#drawn) {
      const address = this.#api.address(index, "thumbnail", this.#store.pictures[index].version);
      if (image.getAttribute("src") !== address) image.src = address;
    }
  }

  /**
   * @param {number} index
   * @returns {Thumbnail}
   */
  #thumbnail(index) {
    const button = document.createElement("button");
    button.style.left = `${index * PITCH}px`;
    const image = new Image();
    image.alt = "";
    const badge = document.createElement("span");
    button.append(image, badge);
    button.onclick = () => this.#pictures.open(index);
    return { button, image, badge, key: "" };
  }

  /**
   * Have a thumbnail, if it is drawn, say how far its picture is.
   * @param {number} index
   */
  #fill(index) {
    const thumbnail = this.#drawn.get(index);
    if (!thumbnail) return;
    const picture = this.#store.pictures[index], isCurrent = index === this.#store.index;
    const key = `${picture.done} ${picture.objects} ${isCurrent} ${this.#busy}`;
    if (thumbnail.key === key) return;
    thumbnail.key = key;
    const { button, badge } = thumbnail;
    badge.className = picture.done ? "badge done" : "badge";
    badge.textContent = picture.done ? "✓" : String(picture.objects || "");
    button.title = pictureTitle(picture);
    button.setAttribute("aria-label", button.title);
    button.setAttribute("aria-current", String(isCurrent));
    button.classList.toggle("busy", isCurrent && this.#busy);
  }
}

/**
 * Choose the thumbnails to draw.
 * @param {number} left  how far the strip is scrolled, in page pixels
 * @param {number} width  of what is seen of it
 * @param {number} count  of all
 * @returns {[begin: number, end: number]}
 */
export function inSight(left, width, count) {
  const begin = Math.floor(left / PITCH) - MORE, end = Math.ceil((left + width) / PITCH) + MORE;
  return [Math.min(Math.max(begin, 0), count), Math.min(Math.max(end, 0), count)];
}

/**
 * Say how far a picture is.
 * @param {Pick<Picture, "name" | "done" | "objects">} picture
 */
export function pictureTitle({ name, done, objects }) {
  return `${name}: ${done ? "done" : objects ? counted(objects, "object") : "no objects"}`;
}
