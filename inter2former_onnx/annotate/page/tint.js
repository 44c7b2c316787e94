// @ts-check
// A mask as a small picture, for masks too intricate for a path: translucent inside, solid at the edge.

import { context2d } from "./dom.js";

/** @import { Bitmap, Colour } from "./types.js" */

/**
 * Draw a mask in a colour.
 * @param {Bitmap} bitmap
 * @param {Colour} colour
 * @returns {HTMLCanvasElement}  one pixel for every pixel of the mask's box; kept with the bitmap
 */
export function tinted(bitmap, colour) {
  const key = colour.join();
  if (bitmap.tint?.key === key) return bitmap.tint.canvas;
  const { width, height, stride, pixels } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0, from = (row + 1) * stride + 1; column < width; column++, from++, to += 4) {
      if (!pixels[from]) continue;
      const inside = pixels[from - 1] && pixels[from + 1] && pixels[from - stride] && pixels[from + stride];
      image.data.set(colour, to);
      image.data[to + 3] = inside ? 105 : 230;
    }
  }
  context2d(canvas).putImageData(image, 0, 0);
  bitmap.tint = { key, canvas };
  return canvas;
}
