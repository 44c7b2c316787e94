// Which part of the picture is seen, and how large: between the picture's pixels and those of the page.

const MOST = 40; // page pixels a picture pixel
const MARGIN = 24;

export class View {
  scale = 1; // page pixels a picture pixel
  left = 0; // where the picture's corner is, in page pixels
  top = 0;

  /** Tell the view its own size and the picture's; a new picture is fitted. */
  resize(width, height) {
    const centre = this.width ? this.toImage(this.width / 2, this.height / 2) : null;
    this.width = width;
    this.height = height;
    if (this.fitted || !centre) this.fit();
    else this.#centre(centre);
  }

  show(imageWidth, imageHeight) {
    this.imageWidth = imageWidth;
    this.imageHeight = imageHeight;
    this.fit();
  }

  get fitting() {
    const room = Math.min(MARGIN, this.width / 20);
    return Math.min((this.width - 2 * room) / this.imageWidth, (this.height - 2 * room) / this.imageHeight);
  }

  fit() {
    if (!this.imageWidth || !this.width) return;
    this.scale = Math.min(this.fitting, MOST);
    this.#centre([this.imageWidth / 2, this.imageHeight / 2]);
    this.fitted = true;
  }

  /** Zoom by a factor; what is at (x, y) of the page stays there. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const [imageX, imageY] = this.toImage(x, y);
    const least = Math.min(this.fitting, 1) / 4;
    this.scale = Math.min(Math.max(this.scale * factor, least), MOST);
    this.left = x - imageX * this.scale;
    this.top = y - imageY * this.scale;
    this.fitted = false;
    this.#keepInSight();
  }

  pan(x, y) {
    this.left += x;
    this.top += y;
    this.fitted = false;
    this.#keepInSight();
  }

  /** Move as little as it takes to have a point of the picture in sight. */
  reveal(x, y) {
    const [pageX, pageY] = this.toPage(x, y);
    const room = 30;
    const shift = (value, size) => (value < room ? room - value : value > size - room ? size - room - value : 0);
    const shiftX = shift(pageX, this.width), shiftY = shift(pageY, this.height);
    if (shiftX || shiftY) this.pan(shiftX, shiftY);
  }

  toImage(x, y) {
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  toPage(x, y) {
    return [x * this.scale + this.left, y * this.scale + this.top];
  }

  contains(x, y) {
    return x >= 0 && y >= 0 && x < this.imageWidth && y < this.imageHeight;
  }

  #centre([x, y]) {
    this.left = this.width / 2 - x * this.scale;
    this.top = this.height / 2 - y * this.scale;
  }

  #keepInSight() {
    const room = 60;
    this.left = Math.min(Math.max(this.left, room - this.imageWidth * this.scale), this.width - room);
    this.top = Math.min(Math.max(this.top, room - this.imageHeight * this.scale), this.height - room);
  }
}
