// @ts-check
// Words with numbers.

/**
 * Count things: "1 picture", "3 pictures".
 * @param {number} count
 * @param {string} what  one of them
 */
export function counted(count, what) {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
