/** What a chain is followed from. */

/** What a chain is followed from: a register, or the eight bytes of stack at a multiple of eight below `fp`. */
export type Place =
  | { readonly kind: 'reg'; readonly regno: number }
  | { readonly kind: 'stack'; readonly off: number };

export const reg = (regno: number): Place => ({ kind: 'reg', regno });
/** The slot that holds byte `off` of the frame. */
export const stackSlot = (off: number): Place => ({ kind: 'stack', off: Math.floor(off / 8) * 8 });
