// @ts-check
// Which part of the picture is seen, and how large: between the picture's pixels and those of the page.

const MOST = 40; // page pixels a picture pixel
const MARGIN = 24;

export class View {
  scale = 1; // page pixels a picture pixel
  left = 0; // where the picture's corner is, in page pixels
  top = 0;
  width = 0; // of the page's part; 0 before it is known
  height = 0;
  imageWidth = 0; // of the picture; 0 before there is one
  imageHeight = 0;
  fitted = false; // whether the whole picture is to stay in sight

  /**
   * Take a new size on the page. What is in the middle stays there, unless the whole picture is in sight.
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    const centre = this.width ? this.toImage(this.width / 2, this.height / 2) : null;
    this.width = width;
    this.height = height;
    if (this.fitted || !centre) this.fit();
    else this.#centre(centre);
  }

  /**
   * Show a picture of another size: it is fitted.
   * @param {number} imageWidth
   * @param {number} imageHeight
   */
  show(imageWidth, imageHeight) {
    this.imageWidth = imageWidth;
    this.imageHeight = imageHeight;
    this.fit();
  }

  /** The scale at which the whole picture is in sight. */
  get fitting() {
    const room = Math.min(MARGIN, this.width / 20);
    return Math.min((this.width - 2 * room) / this.imageWidth, (this.height - 2 * room) / this.imageHeight);
  }

  /** Bring the whole picture in sight. */
  fit() {
    if (!this.imageWidth || !this.width) return;
    this.scale = Math.min(this.fitting, MOST);
    this.#centre([this.imageWidth / 2, this.imageHeight / 2]);
    this.fitted = true;
  }

  /**
   * Zoom by a factor; what is at (x, y) of the page stays there.
   * @param {number} factor
   * @param {number} [x]  the middle if left out
   * @param {number} [y]
   */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const [imageX, imageY] = this.toImage(x, y);
    const least = Math.min(this.fitting, 1) / 4;
    this.scale = Math.min(Math.max(this.scale * factor, least), MOST);
    this.left = x - imageX * this.scale;
    this.top = y - imageY * this.scale;
    this.fitted = false;
    this.#keepInSight();
  }

  /**
   * Move the picture by so many page pixels.
   * @param {number} x
   * @param {number} y
   */
  pan(x, y) {
    this.left += x;
    this.top += y;
    this.fitted = false;
    this.#keepInSight();
  }

  /**
   * Move as little as it takes to have a point of the picture in sight.
   * @param {number} x
   * @param {number} y
   */
  reveal(x, y) {
    const [pageX, pageY] = this.toPage(x, y);
    const room = 30;
    /** @type {(value: number, size: number) => number} */
    const shift = (value, size) => (value < room ? room - value : value > size - room ? size - room - value : 0);
    const shiftX = shift(pageX, this.width), shiftY = shift(pageY, this.height);
    if (shiftX || shiftY) this.pan(shiftX, shiftY);
  }

  /**
   * Find the place of the picture that is at a place of the page.
   * @param {number} x
   * @param {number} y
   * @returns {[x: number, y: number]}
   */
  toImage(x, y) {
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  /**
   * Find the place of the page where a place of the picture is.
   * @param {number} x
   * @param {number} y
   * @returns {[x: number, y: number]}
   */
  toPage(x, y) {
    return [x * this.scale + this.left, y * this.scale + this.top];
  }

  /**
   * Whether a place is in the picture.
   * @param {number} x
   * @param {number} y
   */
  contains(x, y) {
    return x >= 0 && y >= 0 && x < this.imageWidth && y < this.imageHeight;
  }

  /** @param {[x: number, y: number]} place  of the picture, to be in the middle */
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
