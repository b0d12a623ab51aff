/** Moving bytes within one view. */

/** Copies `bytes` bytes from offset `from` to offset `to`; they may overlap if `from` lies before `to`. */
export function moveUp(view: DataView, from: number, to: number, bytes: number): void {
  for (let i = bytes - 1; i >= 0; i--) view.setUint8(to + i, view.getUint8(from + i));
}
