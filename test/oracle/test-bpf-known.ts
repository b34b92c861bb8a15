/**
 * Vectors on which we differ from the recorded expectation, each with its reason. A vector that is listed
 * and passes fails the run, so that the table cannot grow stale.
 */

export type KnownReason =
  /** The module chooses data or offsets by `__BIG_ENDIAN`; the corpus recorded the big-endian branch, and we run little-endian. */
  'big-endian-branch';

const BIG_ENDIAN_BRANCH: readonly string[] = [
  'LD_NLATTR',
  'LD_NLATTR_NEST',
  'BPF_LDX_MEM | BPF_B, base',
  'BPF_LDX_MEM | BPF_B, MSB set',
  'BPF_LDX_MEM | BPF_H, base',
  'BPF_LDX_MEM | BPF_H, MSB set',
  'BPF_LDX_MEM | BPF_W, base',
  'BPF_LDX_MEM | BPF_W, MSB set',
  'BPF_LDX_MEMSX | BPF_B',
  'BPF_LDX_MEMSX | BPF_H',
  'BPF_STX_MEM | BPF_B',
  'BPF_STX_MEM | BPF_B, MSB set',
  'BPF_STX_MEM | BPF_H',
  'BPF_STX_MEM | BPF_H, MSB set',
  'BPF_STX_MEM | BPF_W',
  'BPF_STX_MEM | BPF_W, MSB set',
  'STX_MEM_DW: Store double word: first word in memory',
  'STX_MEM_DW: Store double word: second word in memory',
];

export const KNOWN: ReadonlyMap<string, KnownReason> = new Map(
  BIG_ENDIAN_BRANCH.map((name) => [name, 'big-endian-branch']),
);
