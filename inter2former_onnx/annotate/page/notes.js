// Short messages that go by themselves.

const place = document.getElementById("notes");
const SECONDS = 4;

/** @param {boolean} [bad]  something went wrong */
export function note(text, bad = false) {
  for (const shown of place.children) if (shown.textContent === text) shown.remove();
  const line = document.createElement("div");
  line.className = bad ? "note bad" : "note";
  line.textContent = text;
  place.append(line);
  while (place.children.length > 3) place.firstChild.remove();
  setTimeout(() => line.remove(), 1000 * SECONDS * (bad ? 2 : 1));
}
