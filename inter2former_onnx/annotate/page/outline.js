// The outline of a mask as a path along the edges between pixels, in the picture's coordinates: crisp at any zoom, and,
// filled by the even-odd rule, the mask itself. The same walk as annotate/outlines.py.

// A photograph's objects have a few outlines of some thousand corners. Noise has thousands of outlines, and the time that
// browsers take for a path grows with the square of their number.
const MOST_RINGS = 1000, MOST_CORNERS = 40000;

/** @returns {Path2D | null}  null when the mask is too intricate for a path: see tint.js */
export function outline({ left, top, width, height, stride, pixels }) {
  const seen = new Uint8Array(pixels.length); // top edges that a walk has passed
  const move = [1, stride, -1, -stride];
  const leftAhead = [-stride, 0, -1, -stride - 1], rightAhead = [0, -1, -stride - 1, -stride];
  const corners = [], rings = []; // positions of corners, and how many there are after each ring
  for (let row = 1; row <= height; row++) {
    for (let start = row * stride + 1, end = start + width; start < end; start++) {
      if (pixels[start] && !pixels[start - stride] && !seen[start]) walk(start);
    }
    if (rings.length > MOST_RINGS || corners.length > MOST_CORNERS) return null;
  }
  const path = new Path2D();
  let at = 0;
  for (const end of rings) {
    path.moveTo(...place(corners[at++]));
    while (at < end) path.lineTo(...place(corners[at++]));
    path.closePath();
  }
  return path;

  function walk(start) {
    let position = start, direction = 0;
    do {
      if (direction === 0) seen[position] = 1;
      position += move[direction];
      let turned = direction;
      if (!pixels[position + rightAhead[direction]]) turned = (direction + 1) & 3;
      else if (pixels[position + leftAhead[direction]]) turned = (direction + 3) & 3;
      if (turned !== direction) corners.push(position);
      direction = turned;
    } while (position !== start || direction !== 0);
    rings.push(corners.length);
  }

  function place(position) {
    const row = Math.floor(position / stride);
    return [left + position - row * stride - 1, top + row - 1];
  }
}
