// @ts-check
// Makes the parts, each once and in order, and hands them to each other; then opens the first picture.

import { Api } from "./api.js";
import { ClassList } from "./classes.js";
import { find } from "./dom.js";
import { Editing } from "./editing.js";
import { EncodingBar } from "./encoding.js";
import { FilesDialog } from "./files.js";
import { HelpDialog } from "./help.js";
import { Keyboard } from "./keyboard.js";
import { News } from "./news.js";
import { Notes } from "./notes.js";
import { ObjectList } from "./objects.js";
import { Painter } from "./painter.js";
import { Pictures } from "./pictures.js";
import { Pointer } from "./pointer.js";
import { Status } from "./status.js";
import { Store } from "./store.js";
import { Strip } from "./strip.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

const notes = new Notes();

try {
  const api = new Api();
  const store = new Store();
  const state = await api.state();
  store.load(state);
  for (const notice of state.notices) notes.show(notice, true);

  const view = new View();
  const painter = new Painter({ store, view });
  const editing = new Editing({ store, api, painter, notes });
  const pictures = new Pictures({ store, api, editing, painter, view, notes });

  // What shows the store.
  new ClassList({ store, api, editing, notes });
  new ObjectList({ store, editing });
  new Status({ store, view });
  const strip = new Strip({ store, api, pictures });
  new EncodingBar({ store, strip });

  // What people use.
  const pointer = new Pointer({ store, editing, painter, view });
  const help = new HelpDialog();
  const files = new FilesDialog({ store, api, notes });
  new Keyboard({ store, editing, pictures, pointer, painter, view, help });
  new Toolbar({ store, editing, pictures, pointer, help, files });

  new News({ store, api, editing }).follow();
  const asked = Number(location.hash.slice(1)) - 1;
  const unfinished = store.pictures.findIndex((picture) => !picture.done);
  await pictures.open(store.pictures[asked] ? asked : Math.max(unfinished, 0));
  find("#overlay", HTMLElement).focus({ preventScroll: true });
} catch (error) {
  notes.failed(error);
  throw error;
}
