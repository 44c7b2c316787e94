// @ts-check
// The types of what the server sends (annotate/app.py and hub.py are the other side) and of what the page makes of it.
// Only comments: nothing here runs.

export {};

/**
 * A mask as the server sends it: COCO's run-length code, and where its pixels are.
 * @typedef {object} Code
 * @property {[rows: number, columns: number]} size  of the picture
 * @property {string} counts
 * @property {[left: number, top: number, width: number, height: number]} box
 */

/**
 * The pixels of a mask's box, row by row with one empty pixel around it.
 * @typedef {object} Bitmap
 * @property {number} left  of the box, in the picture
 * @property {number} top
 * @property {number} width
 * @property {number} height
 * @property {number} stride  length of a row of `pixels`
 * @property {Uint8Array} pixels  1 inside the mask, 0 outside
 * @property {{key: string, canvas: HTMLCanvasElement}} [tint]  the last picture of it, see tint.js
 */

/** @typedef {[red: number, green: number, blue: number]} Colour */

/**
 * A mask ready to be drawn.
 * @typedef {object} Drawable
 * @property {Bitmap} bitmap
 * @property {Path2D | null} path  its outline; null when it is too intricate for one
 */

/** @typedef {[x: number, y: number, positive: 0 | 1]} Click  on the pixel in column x and row y */

/**
 * An object as the server sends it. The mask is left out where it is the one that the page has.
 * @typedef {object} AnnotatedObject
 * @property {number} id
 * @property {number} category  id of its class
 * @property {Click[]} clicks  oldest first
 * @property {[left: number, top: number, right: number, bottom: number] | null} box  drawn around it
 * @property {number} area  pixels of its mask
 * @property {Code} [mask]
 */

/** @typedef {AnnotatedObject & Partial<Drawable>} ShownObject  an object with its mask as the page draws it */

/**
 * A picture's annotations after a change.
 * @typedef {object} Changes
 * @property {number} revision  that the next change must name
 * @property {AnnotatedObject[]} objects  later ones lie above earlier ones
 * @property {boolean} done  marked as finished
 * @property {boolean} can_undo
 * @property {boolean} can_redo
 */

/**
 * The answer to a change, with how long it took in milliseconds.
 * @typedef {Changes & {mask_ms: number, server_ms: number}} Edited
 */

/**
 * The answer to opening a picture: everything about it.
 * @typedef {Changes & {width: number, height: number, encoding: Progress, notice: string}} OpenedPicture  the notice is
 *   what a person should know about it; mostly empty
 */

/**
 * The picture shown, as the page keeps it.
 * @typedef {Omit<Changes, "objects"> & {width: number, height: number, objects: ShownObject[]}} PictureDocument
 */

/**
 * How far the encoding of a picture is.
 * @typedef {object} Progress
 * @property {"waiting" | "encoding" | "ready" | "failed"} state
 * @property {number} [seconds]  since it began
 * @property {number} [expected]  seconds in all; 0 where that is not known yet
 * @property {string} [message]  why it failed
 */

/** @typedef {Progress & {since: number}} Encoding  with the time, by this window's clock, when it began */

/**
 * A picture in the list.
 * @typedef {object} Picture
 * @property {string} name
 * @property {number} objects  how many it has
 * @property {boolean} done
 */

/** @typedef {{id: number, name: string}} Category  a class */

/**
 * A change of the classes.
 * @typedef {{type: "add", name: string}
 *   | {type: "rename", id: number, name: string}
 *   | {type: "remove", id: number}} ClassChange
 */

/**
 * The answer to /api/state: what this run is about.
 * @typedef {object} RunState
 * @property {string} folder
 * @property {string} out  folder of the files
 * @property {Picture[]} pictures
 * @property {Picture[]} missing  annotated ones whose files are not there
 * @property {string[]} notices  what a person should know at the start, a line each
 * @property {Category[]} classes
 * @property {Colour[]} colours  of objects, in turn
 * @property {boolean} random_weights  whether the masks mean nothing
 * @property {string} engine
 * @property {string} problem  why saving fails, or nothing
 */

/**
 * News from the server.
 * @typedef {(Progress & {type: "encoding", image: number})
 *   | {type: "document", image: number, tab: string, revision: number}
 *   | {type: "picture", image: number, objects: number, done: boolean}
 *   | {type: "classes", classes: Category[]}
 *   | {type: "saved", problem: string, pending: boolean}} ServerEvent
 */

/** @typedef {"add" | "remove" | "box"} Tool  what the main button does */

/** @typedef {{x: number, y: number}} Point */

/** @typedef {{x: number, y: number, toX: number, toY: number}} Rectangle  from one corner to the opposite one */

/** @typedef {Point & {positive: boolean}} Prompt  a click at a point of the picture, on the object or beside it */
