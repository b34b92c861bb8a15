/** Which instructions may follow each: fall-through first, two places an instruction. */
export interface Successors {
  readonly count: Uint8Array;
  readonly at: Int32Array;
}
