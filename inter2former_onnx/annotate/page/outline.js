// @ts-check
// The outline of a mask as a path along the edges between pixels, in the picture's coordinates: crisp at any zoom, and,
// filled by the even-odd rule, the mask itself. The same walk as annotate/outlines.py.

/** @import { Bitmap } from "./types.js" */

// A photograph's objects have a few outlines of some thousand corners. Noise has thousands of outlines, and the time
// that browsers take for a path grows with the square of their number.
const MOST_RINGS = 1000, MOST_CORNERS = 40000;

/**
 * Draw the outline of a mask.
 * @param {Bitmap} bitmap
 * @returns {Path2D | null}  null when the mask is too intricate for a path: see tint.js
 */
export function outline(bitmap) {
  const found = rings(bitmap);
  if (!found) return null;
  const path = new Path2D();
  for (const [first, ...others] of found) {
    path.moveTo(...first);
    for (const corner of others) path.lineTo(...corner);
    path.closePath();
  }
  return path;
}

/**
 * Walk along the outlines of a mask, those of holes included: the object lies to the right of the way.
 * @param {Bitmap} bitmap
 * @returns {[x: number, y: number][][] | null}  corners of the picture's pixels, ring by ring; null: too many
 */
export function rings({ left, top, width, height, stride, pixels }) {
  const seen = new Uint8Array(pixels.length); // top edges that a walk has passed
  const move = [1, stride, -1, -stride];
  const leftAhead = [-stride, 0, -1, -stride - 1], rightAhead = [0, -1, -stride - 1, -stride];
  const found = [];
  let corners = 0;
  for (let row = 1; row <= height; row++) {
    for (let start = row * stride + 1, end = start + width; start < end; start++) {
      if (!pixels[start] || pixels[start - stride] || seen[start]) continue;
      const ring = walk(start);
      found.push(ring);
      corners += ring.length;
    }
    if (found.length > MOST_RINGS || corners > MOST_CORNERS) return null;
  }
  return found;

  /**
   * @param {number} start  a pixel whose top edge is in the outline
   * @returns {[x: number, y: number][]}
   */
  function walk(start) {
    /** @type {[x: number, y: number][]} */
    const ring = [];
    let position = start, direction = 0; // the pixel right-below the current corner; right, down, left, up
    do {
      if (direction === 0) seen[position] = 1;
      position += move[direction];
      let turned = direction;
      if (!pixels[position + rightAhead[direction]]) turned = (direction + 1) & 3;
      else if (pixels[position + leftAhead[direction]]) turned = (direction + 3) & 3;
      if (turned !== direction) ring.push(place(position));
      direction = turned;
    } while (position !== start || direction !== 0);
    return ring;
  }

  /**
   * @param {number} position
   * @returns {[x: number, y: number]}
   */
  function place(position) {
    const row = Math.floor(position / stride);
    return [left + position - row * stride - 1, top + row - 1];
  }
}
