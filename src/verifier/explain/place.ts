/** What a chain is followed from. */

/** A register, or the eight bytes of stack at a multiple of eight below `fp`. */
export type ValuePlace =
  | { readonly kind: 'reg'; readonly regno: number }
  | { readonly kind: 'stack'; readonly off: number };

/** A value, or an instruction since which something is held: then the branches after it are the chain. */
export type Place = ValuePlace | { readonly kind: 'insn'; readonly slot: number; readonly note: string };

export const reg = (regno: number): ValuePlace => ({ kind: 'reg', regno });
/** The slot that holds byte `off` of the frame. */
export const stackSlot = (off: number): ValuePlace => ({ kind: 'stack', off: Math.floor(off / 8) * 8 });
