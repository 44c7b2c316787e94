// Tool bar and status line: what may be pressed, which tool is on, saved or not, how long a click took.

import { store } from "./store.js";

const element = (id) => document.getElementById(id);

export function begin(view) {
  store.on("document status", showTools);
  store.on("document status", showStatus);
  store.on("view document", () => {
    element("zoom-level").textContent = `${Math.round(100 * view.scale)} %`;
  });
  showTools();
  showStatus();
}

function showTools() {
  const { document: content, current, tool } = store;
  for (const name of ["add", "remove", "box"]) {
    element(name).setAttribute("aria-checked", tool === name);
    element(name).tabIndex = tool === name ? 0 : -1;
  }
  element("undo").disabled = !content?.can_undo;
  element("redo").disabled = !content?.can_redo;
  element("reset").disabled = !current?.clicks.length;
  element("next-object").disabled = !current;
  element("done").disabled = !content;
  element("stage").setAttribute("aria-busy", ["waiting", "encoding"].includes(store.encoding.state));
  element("done").setAttribute("aria-pressed", content?.done ?? false);
  const hints = {
    box: "Drag a box around the object",
    remove: current ? "Click on what does not belong to the object" : "",
    add: content && !current && !content.objects.length ? "Click on an object" : "",
  };
  element("hint").textContent = hints[tool];
}

function showStatus() {
  const saved = element("saved");
  const state = store.saving ? "Saving…" : "All changes saved";
  saved.className = store.problem || !store.connected ? "bad" : "";
  saved.textContent = store.problem || (store.connected ? state : "No connection to the server");
  saved.title = saved.textContent;
  const { latency } = store;
  element("latency").textContent = latency ? `Last click ${Math.round(latency.total)} ms (server ${Math.round(latency.server)} ms)` : "";
  if (latency) Object.assign(element("latency").dataset, latency);
}
