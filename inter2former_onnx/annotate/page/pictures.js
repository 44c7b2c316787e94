// The pictures of the folder: opening one, the strip of thumbnails, how encoding goes.

import { post } from "./api.js";
import { setDone } from "./editing.js";
import { note } from "./notes.js";
import { store } from "./store.js";

const strip = document.getElementById("strip");
const bar = document.getElementById("encoding");
let painter = null;
let opening = 0;

export function begin(thePainter) {
  painter = thePainter;
  makeStrip();
  store.on("pictures", showStrip);
  document.getElementById("previous").onclick = () => step(-1);
  document.getElementById("following").onclick = () => step(1);
  document.getElementById("done").onclick = toggleDone;
  requestAnimationFrame(showEncoding);
}

/** Show a picture. What is not there yet (its pixels, its encoding) comes as it is ready. */
export async function open(index) {
  if (index < 0 || index >= store.pictures.length) return;
  const turn = ++opening;
  store.index = index;
  store.active = null;
  store.hidden = new Set();
  store.pending = store.preview = store.document = null;
  painter.image = null;
  painter.cursor = null;
  location.hash = `#${index + 1}`;
  store.encoding = { state: "waiting", seconds: 0, expected: 0, since: performance.now() };
  store.changed("pictures", "document");
  painter.request(true);
  try {
    const image = new Image();
    image.src = address(index, "picture");
    const [content] = await Promise.all([post(`/api/images/${index}/open`), image.decode().catch(() => null)]);
    if (turn !== opening) return;
    if (!image.naturalWidth) throw new Error(`${store.pictures[index].name} cannot be shown.`);
    painter.image = image;
    painter.view.show(content.width, content.height);
    store.encodingWas(content.encoding);
    store.adopt(content);
    store.changed("status", "view");
    painter.request(true);
    if (index + 1 < store.pictures.length) new Image().src = address(index + 1, "picture"); // ready when it is wanted
  } catch (error) {
    if (turn !== opening) return;
    note(error.message, true);
    store.encodingIs({ state: "failed", message: error.message });
  }
}

export function step(by) {
  const index = store.index + by;
  if (index < 0) note("This is the first picture.");
  else if (index >= store.pictures.length) note("This is the last picture.");
  else open(index);
}

/** Mark the picture as finished and go on, or take the mark back. */
export async function toggleDone() {
  if (!store.document) return;
  const done = !store.document.done;
  const index = store.index;
  await setDone(done);
  if (done && store.index === index && index + 1 < store.pictures.length) step(1);
}

const address = (index, what) => `/api/images/${index}/${what}`;

function makeStrip() {
  strip.hidden = store.pictures.length < 2;
  strip.replaceChildren(
    ...store.pictures.map((picture, index) => {
      const button = document.createElement("button");
      const image = new Image();
      image.loading = "lazy";
      image.alt = "";
      image.src = address(index, "thumbnail");
      const badge = document.createElement("span");
      badge.className = "badge";
      button.append(image, badge);
      button.onclick = () => open(index);
      return button;
    }),
  );
  showStrip();
}

let shown = -1;

function showStrip() {
  store.pictures.forEach((picture, index) => {
    const button = strip.children[index];
    const key = `${picture.done} ${picture.objects} ${index === store.index}`;
    if (button.key === key) return;
    button.key = key;
    const badge = button.lastChild;
    const state = picture.done ? "done" : picture.objects ? `${picture.objects} objects` : "no objects";
    badge.className = picture.done ? "badge done" : "badge";
    badge.textContent = picture.done ? "✓" : picture.objects || "";
    button.title = `${picture.name}: ${state}`;
    button.setAttribute("aria-label", button.title);
    button.setAttribute("aria-current", index === store.index);
  });
  if (shown !== store.index) strip.children[store.index]?.scrollIntoView({ block: "nearest", inline: "center" });
  shown = store.index;
  const name = document.getElementById("name");
  name.firstChild.textContent = store.pictures[store.index]?.name ?? "";
  name.lastChild.textContent = store.pictures.length > 1 ? `${store.index + 1} / ${store.pictures.length}` : "";
  name.title = name.firstChild.textContent;
  document.getElementById("previous").disabled = store.index <= 0;
  document.getElementById("following").disabled = store.index + 1 >= store.pictures.length;
}

/** A bar that moves while the picture is encoded; it knows how long the last one took, not how far this one is. */
function showEncoding() {
  const { state, since, expected, message } = store.encoding;
  const seconds = (performance.now() - since) / 1000;
  const late = state !== "ready" && (state === "failed" || seconds > 0.25);
  bar.hidden = !late;
  if (late) {
    bar.className = `encoding ${state} ${expected ? "" : "unknown"}`;
    const fill = bar.querySelector(".fill");
    fill.style.width = expected ? `${Math.min(97, (100 * seconds) / expected)}%` : "";
    const about = expected ? ` of about ${expected.toFixed(1)}` : "";
    const text = state === "failed" ? message : `Preparing the picture: ${seconds.toFixed(1)}${about} s. Clicks made now wait for it.`;
    const line = bar.querySelector("span");
    if (line.textContent !== text) line.textContent = text;
  }
  strip.children[store.index]?.classList.toggle("busy", state === "waiting" || state === "encoding");
  setTimeout(() => requestAnimationFrame(showEncoding), 100);
}
