/** A frame as a filter looks at it: one object, filled in anew for each frame. */

/** `reason` of a frame that was not dropped */
export const NOT_DROPPED = -1;

/** `present` of a frame that is whole where it is looked at */
export const WHOLE = 0x7fff_ffff;

export class FilteredFrame {
  view: DataView;
  /** Where the Ethernet header begins */
  offset = 0;
  /** Bytes from there */
  length = 0;
  /** Bytes of those that are there to be read, {@link WHOLE} for all */
  present = WHOLE;
  /** Number of the port it is seen at */
  port = 0;
  /** Number of the drop reason, or {@link NOT_DROPPED} */
  reason = NOT_DROPPED;
  /** A condition asked for a byte beyond the end: the frame is not selected, whatever the rest says */
  isShort = false;
  /** A condition asked for a byte that is not there: its answer means nothing. Whoever sets `present` clears it. */
  isCut = false;

  constructor(view: DataView) {
    this.view = view;
  }

  /** Byte at `at` of the frame. */
  u8(at: number): number {
    return this.#has(at, 1) ? this.view.getUint8(this.offset + at) : 0;
  }

  /** Two bytes from `at`, uint16. */
  u16(at: number): number {
    return this.#has(at, 2) ? this.view.getUint16(this.offset + at) : 0;
  }

  /** Four bytes from `at`, int32: never a heap number. */
  i32(at: number): number {
    return this.#has(at, 4) ? this.view.getInt32(this.offset + at) : 0;
  }

  #has(at: number, bytes: number): boolean {
    if (at >= 0 && at + bytes <= this.length) {
      if (at + bytes <= this.present) return true;
      this.isCut = true;
    } else this.isShort = true;
    return false;
  }
}

/** True for the frames that a filter, or a part of it, selects. Neither allocates nor throws. */
export type Condition = (frame: FilteredFrame) => boolean;
