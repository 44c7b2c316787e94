// @ts-check
// A bar that moves while the picture is encoded; it knows how long the last one took, not how far this one is.

import { find } from "./dom.js";

/**
 * @import { Store } from "./store.js"
 * @import { Strip } from "./strip.js"
 * @import { Encoding } from "./types.js"
 */

const EVERY = 100; // milliseconds
const SHORT = 0.25; // seconds that need no bar

export class EncodingBar {
  #store;
  #strip;
  #bar = find("#encoding", HTMLElement);
  #fill = find("#encoding .fill", HTMLElement);
  #line = find("#encoding span", HTMLElement);

  /** @param {{store: Store, strip: Strip}} parts */
  constructor({ store, strip }) {
    this.#store = store;
    this.#strip = strip;
    requestAnimationFrame(() => this.#show());
  }

  #show() {
    const { encoding } = this.#store, { state, since, expected } = encoding;
    const seconds = (performance.now() - since) / 1000;
    const late = state !== "ready" && (state === "failed" || seconds > SHORT);
    this.#bar.hidden = !late;
    if (late) {
      this.#bar.className = `encoding ${state} ${expected ? "" : "unknown"}`;
      this.#fill.style.width = expected ? `${Math.min(97, (100 * seconds) / expected)}%` : "";
      const text = encodingText(encoding, seconds);
      if (this.#line.textContent !== text) this.#line.textContent = text;
    }
    this.#strip.setBusy(state === "waiting" || state === "encoding");
    setTimeout(() => requestAnimationFrame(() => this.#show()), EVERY);
  }
}

/**
 * Say how the encoding goes.
 * @param {Encoding} encoding
 * @param {number} seconds  since it began
 */
export function encodingText({ state, expected, message }, seconds) {
  if (state === "failed") return message ?? "";
  const about = expected ? ` of about ${expected.toFixed(1)}` : "";
  return `Preparing the picture: ${seconds.toFixed(1)}${about} s. Clicks made now wait for it.`;
}
