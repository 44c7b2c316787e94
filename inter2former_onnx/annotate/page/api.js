// @ts-check
// Talking to the server: requests, and the stream of news.

/** @import { Category, ClassChange, Code, Edited, OpenedPicture, RunState, ServerEvent } from "./types.js" */

export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status  HTTP status, 0 when there was no answer
   * @param {{error?: string, document?: OpenedPicture}} content  the answer
   */
  constructor(message, status, content = {}) {
    super(message);
    this.status = status;
    this.content = content;
  }
}

const AGAIN = 2000; // milliseconds until the news are asked for again when they broke off

export class Api {
  /** What this window calls itself, so that it knows its own changes in the news. */
  tab = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  #run = ""; // that this page belongs to
  #onAnswer = () => {};

  /** @returns {Promise<RunState>} */
  async state() {
    const state = await this.#answered(fetch("api/state"));
    this.#run ||= state.run;
    return state;
  }

  /**
   * Get a picture's annotations; the server encodes the picture, and then the next one.
   * @param {number} index
   * @param {string} [version]  of the picture that is meant: another run's is refused
   * @returns {Promise<OpenedPicture>}
   */
  open(index, version) {
    return this.#post(`api/images/${index}/open`, { version });
  }

  /**
   * Change a picture's annotations.
   * @param {number} index
   * @param {number} revision  that the change is made on
   * @param {object} fields  what to do, as editing.Editor.edit has it, and the version of the picture shown
   * @returns {Promise<Edited>}
   */
  edit(index, revision, fields) {
    return this.#post(`api/images/${index}/edit`, { tab: this.tab, revision, ...fields });
  }

  /**
   * Ask what a click would give.
   * @param {number} index
   * @param {{object: number | null, x: number, y: number, positive: boolean, version?: string}} fields
   * @param {AbortSignal} signal
   * @returns {Promise<{mask: Code | null}>}  null when the server had something more urgent to do
   */
  preview(index, fields, signal) {
    return this.#post(`api/images/${index}/preview`, fields, signal);
  }

  /**
   * Add, rename or remove a class.
   * @param {ClassChange} fields
   * @returns {Promise<{classes: Category[]}>}
   */
  changeClasses(fields) {
    return this.#post("api/classes", { ...fields, run: this.#run });
  }

  /**
   * Write all files of one kind.
   * @param {string} kind
   * @returns {Promise<{files: number, out: string}>}
   */
  exportFiles(kind) {
    return this.#post("api/export", { kind, run: this.#run });
  }

  /**
   * Where a picture can be loaded from.
   * @param {number} index
   * @param {"picture" | "thumbnail"} what
   * @param {string} version  which makes it the address of this picture and no other
   */
  address(index, what, version) {
    return `api/images/${index}/${what}?v=${encodeURIComponent(version)}`;
  }

  /**
   * Hear the server's news while this window is visible: browsers allow few connections, so hidden windows give theirs
   * up.
   * @param {(event: ServerEvent) => void} onEvent
   * @param {() => void} onAgain  called when they begin: what happened before was missed
   * @param {(connected: boolean) => void} onConnection  called with whether the server was reached last
   */
  listen(onEvent, onAgain, onConnection) {
    /** @type {EventSource | null} */
    let source = null;
    let timer = 0;
    const close = () => {
      clearTimeout(timer);
      source?.close();
      source = null;
    };
    const open = () => {
      source = new EventSource("api/events");
      source.onmessage = (message) => onEvent(JSON.parse(message.data));
      source.onopen = () => {
        onConnection(true);
        onAgain();
      };
      source.onerror = async () => {
        // Browsers try again by themselves after some errors, and never after others.
        close();
        timer = setTimeout(open, AGAIN);
        // A proxy may let everything through but the stream.
        const reached = await this.#reached();
        if (!source) onConnection(reached);
      };
    };
    this.#onAnswer = () => onConnection(true);
    document.addEventListener("visibilitychange", () => {
      close();
      if (!document.hidden) open();
    });
    open();
  }

  /** Whether the server answers, soon and to this page. */
  async #reached() {
    try {
      return (await fetch("page/icon.svg", { cache: "no-store", signal: AbortSignal.timeout(AGAIN / 2) })).ok;
    } catch {
      return false;
    }
  }


  /**
   * @param {string} path  relative: the page may lie under a path of a proxy's
   * @param {object} body  sent as JSON
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  #post(path, body, signal = undefined) {
    const headers = { "content-type": "application/json" };
    return this.#answered(fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal }));
  }

  /**
   * @param {Promise<Response>} request
   * @returns {Promise<any>}
   */
  async #answered(request) {
    let response;
    try {
      response = await request;
    } catch (error) {
      if (error instanceof Error && error.name === "AbortError") throw error;
      throw new ApiError("The server does not answer. Is inter2former annotate still running?", 0);
    }
    if (response.status === 401) {
      throw new ApiError("This page belongs to an earlier run: open the address that the command printed.", 401);
    }
    this.#onAnswer();
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    const isJSON = response.headers.get("content-type")?.startsWith("application/json");
    const content = isJSON ? JSON.parse(text) : {};
    // In plain words only our own server refuses; a proxy shows a page of its own.
    const isText = response.headers.get("content-type")?.startsWith("text/plain");
    const message = content.error ?? (isText && text ? text : `The server answers ${response.status}.`);
    throw new ApiError(message, response.status, content);
  }
}
