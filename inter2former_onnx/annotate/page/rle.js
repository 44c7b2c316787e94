// @ts-check
// COCO's run-length text -> the bitmap of the mask's box. The same code as annotate/rle.py.

/** @import { Bitmap, Code } from "./types.js" */

/**
 * @param {Code} code
 * @returns {Bitmap}
 */
export function decode({ size: [rows], counts, box: [left, top, width, height] }) {
  const stride = width + 2;
  const pixels = new Uint8Array(stride * (height + 2));
  const runs = [];
  let at = 0;
  for (let index = 0; index < counts.length; ) {
    let value = 0, shift = 0, character;
    do {
      character = counts.charCodeAt(index++) - 48;
      value += (character & 31) * 2 ** shift;
      shift += 5;
    } while (character & 32);
    if (character & 16) value -= 2 ** shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
    if (runs.length % 2 === 0) fill(at, at + value);
    at += value;
  }
  return { left, top, width, height, stride, pixels };

  /**
   * Set the pixels from one position of the picture (column by column) to another.
   * @param {number} from
   * @param {number} to
   */
  function fill(from, to) {
    let column = Math.floor(from / rows), row = from - column * rows;
    let place = (row - top + 1) * stride + column - left + 1;
    for (let left_over = to - from; left_over > 0; left_over--) {
      pixels[place] = 1;
      place += stride;
      if (++row === rows) {
        row = 0;
        column++;
        place = (1 - top) * stride + column - left + 1;
      }
    }
  }
}

/**
 * Whether the mask covers the pixel that contains (x, y) of the picture.
 * @param {Bitmap} bitmap
 * @param {number} x
 * @param {number} y
 */
export function covers(bitmap, x, y) {
  const column = Math.floor(x) - bitmap.left, row = Math.floor(y) - bitmap.top;
  if (column < 0 || row < 0 || column >= bitmap.width || row >= bitmap.height) return false;
  return bitmap.pixels[(row + 1) * bitmap.stride + column + 1] === 1;
}
