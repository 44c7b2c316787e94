// Talking to the server: requests, and the stream of news.

/** What this window calls itself, so that it knows its own changes in the news. */
export const tab = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class ApiError extends Error {
  /** @param {number} status  HTTP status, 0 when there was no answer   @param {object} content  the answer */
  constructor(message, status, content = {}) {
    super(message);
    this.status = status;
    this.content = content;
  }
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is inter2former annotate still running?", 0);
  }
  if (response.status === 401) {
    throw new ApiError("This page belongs to an earlier run: open the address that the command printed.", 401);
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(content.error ?? `The server answers ${response.status}.`, response.status, content);
  return content;
}

export function get(path) {
  return answered(fetch(path));
}

/** @param {object} body  sent as JSON   @param {AbortSignal} [signal] */
export function post(path, body = {}, signal = undefined) {
  const headers = { "content-type": "application/json" };
  return answered(fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal }));
}

/**
 * The server's news while this window is visible (browsers allow few connections, so hidden windows give theirs up).
 * @param {(event: object) => void} onEvent
 * @param {() => void} onAgain  called when they begin: what happened before was missed
 * @param {(connected: boolean) => void} onConnection
 */
export function listen(onEvent, onAgain, onConnection) {
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
