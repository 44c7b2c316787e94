// The outline of a mask as a path along the edges between pixels, in the picture's coordinates: crisp at any zoom, and,
// filled by the even-odd rule, the mask itself. The same walk as annotate/outlines.py.

/** @returns {Path2D} */
export function outline({ left, top, width, height, stride, pixels }) {
  const path = new Path2D();
  const seen = new Uint8Array(pixels.length); // top edges that a walk has passed
  const move = [1, stride, -1, -stride];
  const leftAhead = [-stride, 0, -1, -stride - 1], rightAhead = [0, -1, -stride - 1, -stride];
  for (let row = 1; row <= height; row++) {
    for (let start = row * stride + 1, end = start + width; start < end; start++) {
      if (pixels[start] && !pixels[start - stride] && !seen[start]) walk(start);
    }
  }
  return path;

  function walk(start) {
    let position = start, direction = 0, first = true;
    do {
      if (direction === 0) seen[position] = 1;
      position += move[direction];
      let turned = direction;
      if (!pixels[position + rightAhead[direction]]) turned = (direction + 1) & 3;
      else if (pixels[position + leftAhead[direction]]) turned = (direction + 3) & 3;
      if (turned !== direction) {
        const row = Math.floor(position / stride), x = left + position - row * stride - 1, y = top + row - 1;
        if (first) path.moveTo(x, y);
        else path.lineTo(x, y);
        first = false;
        direction = turned;
      }
    } while (position !== start || direction !== 0);
    path.closePath();
  }
}
