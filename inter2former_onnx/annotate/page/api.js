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

export class Api {
  /** What this window calls itself, so that it knows its own changes in the news. */
  tab = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** @returns {Promise<RunState>} */
  state() {
    return answered(fetch("/api/state"));
  }

  /**
   * Get a picture's annotations; the server encodes the picture, and then the next one.
   * @param {number} index
   * @returns {Promise<OpenedPicture>}
   */
  open(index) {
    return post(`/api/images/${index}/open`);
  }

  /**
   * Change a picture's annotations.
   * @param {number} index
   * @param {number} revision  that the change is made on
   * @param {object} fields  what to do: editing.Editor.edit says what there is
   * @returns {Promise<Edited>}
   */
  edit(index, revision, fields) {
    return post(`/api/images/${index}/edit`, { tab: this.tab, revision, ...fields });
  }

  /**
   * Ask what a click would give.
   * @param {number} index
   * @param {{object: number | null, x: number, y: number, positive: boolean}} fields
   * @param {AbortSignal} signal
   * @returns {Promise<{mask: Code | null}>}  null when the server had something more urgent to do
   */
  preview(index, fields, signal) {
    return post(`/api/images/${index}/preview`, fields, signal);
  }

  /**
   * Add, rename or remove a class.
   * @param {ClassChange} fields
   * @returns {Promise<{classes: Category[]}>}
   */
  changeClasses(fields) {
    return post("/api/classes", fields);
  }

  /**
   * Write all files of one kind.
   * @param {string} kind
   * @returns {Promise<{files: number, out: string}>}
   */
  exportFiles(kind) {
    return post("/api/export", { kind });
  }

  /**
   * Where a picture can be loaded from.
   * @param {number} index
   * @param {"picture" | "thumbnail"} what
   */
  address(index, what) {
    return `/api/images/${index}/${what}`;
  }

  /**
   * Hear the server's news while this window is visible: browsers allow few connections, so hidden windows give theirs
   * up.
   * @param {(event: ServerEvent) => void} onEvent
   * @param {() => void} onAgain  called when they begin: what happened before was missed
   * @param {(connected: boolean) => void} onConnection
   */
  listen(onEvent, onAgain, onConnection) {
    /** @type {EventSource | null} */
    let source = null;
    const open = () => {
      source = new EventSource("/api/events");
      source.onmessage = (message) => onEvent(JSON.parse(message.data));
      source.onopen = () => {
        onConnection(true);
        onAgain();
      };
      source.onerror = () => onConnection(false);
    };
    document.addEventListener("visibilitychange", () => {
      source?.close();
      source = null;
      if (!document.hidden) open();
    });
    open();
  }
}

/**
 * @param {string} path
 * @param {object} [body]  sent as JSON
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
function post(path, body = {}, signal = undefined) {
  const headers = { "content-type": "application/json" };
  return answered(fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal }));
}

/**
 * @param {Promise<Response>} request
 * @returns {Promise<any>}
 */
async function answered(request) {
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
  const content = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new ApiError(content.error ?? `The server answers ${response.status}.`, response.status, content);
  }
  return content;
}
