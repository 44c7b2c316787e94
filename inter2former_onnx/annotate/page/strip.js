// @ts-check
// Which picture is shown, and which others there are: its name, the buttons beside it, the strip of thumbnails.

import { find } from "./dom.js";
import { PICTURES } from "./topics.js";

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
 * @property {HTMLElement} badge
 * @property {string} key  what it shows
 */

export class Strip {
  #store;
  #api;
  #pictures;
  #place = find("#strip", HTMLElement);
  #name = find("#name", HTMLElement);
  #previous = find("#previous", HTMLButtonElement);
  #following = find("#following", HTMLButtonElement);
  #thumbnails;
  #shown = -1; // index of the picture that was scrolled to

  /** @param {{store: Store, api: Api, pictures: Pictures}} parts */
  constructor({ store, api, pictures }) {
    this.#store = store;
    this.#api = api;
    this.#pictures = pictures;
    this.#previous.onclick = () => pictures.step(-1);
    this.#following.onclick = () => pictures.step(1);
    this.#thumbnails = store.pictures.map((_, index) => this.#thumbnail(index));
    this.#place.hidden = store.pictures.length < 2;
    this.#place.replaceChildren(...this.#thumbnails.map(({ button }) => button));
    store.on([PICTURES], () => this.#show());
    this.#show();
  }

  /**
   * Show that the picture is being prepared.
   * @param {boolean} busy
   */
  setBusy(busy) {
    this.#thumbnails[this.#store.index]?.button.classList.toggle("busy", busy);
  }

  /**
   * @param {number} index
   * @returns {Thumbnail}
   */
  #thumbnail(index) {
    const button = document.createElement("button");
    const image = new Image();
    image.loading = "lazy";
    image.alt = "";
    image.src = this.#api.address(index, "thumbnail");
    const badge = document.createElement("span");
    badge.className = "badge";
    button.append(image, badge);
    button.onclick = () => this.#pictures.open(index);
    return { button, badge, key: "" };
  }

  #show() {
    const { pictures, index: current } = this.#store;
    pictures.forEach((picture, index) => {
      const thumbnail = this.#thumbnails[index];
      const key = `${picture.done} ${picture.objects} ${index === current}`;
      if (thumbnail.key === key) return;
      thumbnail.key = key;
      const { button, badge } = thumbnail;
      badge.className = picture.done ? "badge done" : "badge";
      badge.textContent = picture.done ? "✓" : String(picture.objects || "");
      button.title = pictureTitle(picture);
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-current", String(index === current));
    });
    if (this.#shown !== current) {
      this.#thumbnails[current]?.button.scrollIntoView({ block: "nearest", inline: "center" });
    }
    this.#shown = current;
    const name = pictures[current]?.name ?? "";
    find(".text", HTMLElement, this.#name).textContent = name;
    const place = pictures.length > 1 ? `${current + 1} / ${pictures.length}` : "";
    find("small", HTMLElement, this.#name).textContent = place;
    this.#name.title = name;
    this.#previous.disabled = current <= 0;
    this.#following.disabled = current + 1 >= pictures.length;
  }
}

/**
 * Say how far a picture is.
 * @param {Picture} picture
 */
export function pictureTitle({ name, done, objects }) {
  return `${name}: ${done ? "done" : objects ? `${objects} objects` : "no objects"}`;
}
