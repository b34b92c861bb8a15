/** GFP flags: what an allocation may do to succeed. Values of include/linux/gfp_types.h, Linux 6.12 on x86-64. */

const GFP_BITS = {
  high: 0x20,
  io: 0x40,
  fs: 0x80,
  zero: 0x100,
  directReclaim: 0x400,
  kswapdReclaim: 0x800,
  noWarn: 0x2000,
  account: 0x400000,
} as const;

export const GFP = {
  ...GFP_BITS,
  /** May sleep. */
  kernel: GFP_BITS.io | GFP_BITS.fs | GFP_BITS.directReclaim | GFP_BITS.kswapdReclaim,
  /** May not, and may use the reserves. */
  atomic: GFP_BITS.high | GFP_BITS.kswapdReclaim,
  /** May not. */
  noWait: GFP_BITS.kswapdReclaim,
} as const;

/** gfpflags_allow_blocking. */
export function allowsBlocking(gfp: number): boolean {
  return (gfp & GFP.directReclaim) !== 0;
}
