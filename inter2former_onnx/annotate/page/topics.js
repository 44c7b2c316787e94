// @ts-check
// What a change of the store can be about. Who makes the change names the topics; parts that show them listen.

/** The annotations of the picture shown: its objects, which one is active, which are hidden. */
export const DOCUMENT = "document";

/** The list of pictures: how far each is, and which one is shown. */
export const PICTURES = "pictures";

/** The classes, and which one the next object gets. */
export const CLASSES = "classes";

/** What part of the picture is seen, and what is drawn over it for a moment: a preview, a click without an answer. */
export const VIEW = "view";

/** The tool, and how saving, encoding, the connection and the last click went. */
export const STATUS = "status";

/** @typedef {typeof DOCUMENT | typeof PICTURES | typeof CLASSES | typeof VIEW | typeof STATUS} Topic */
