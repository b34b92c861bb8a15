/**
 * Where a struct has gaps: the unnamed bit-fields that make a C compiler lay members out as BTF says,
 * and whether it has to be told that a struct is packed. Rules as in libbpf's `btf_dump`.
 */
import type { Btf } from '../btf.js';
import { BtfError } from '../error.js';
import type { BtfComposite, BtfMember } from '../types.js';

/** Bits of a bit-field, 0 for other members. Before `kind_flag`, compilers gave each its own integer type. */
export function bitfieldWidth(btf: Btf, member: BtfMember): number {
  if (member.bitfieldSize > 0) return member.bitfieldSize;
  const type = btf.underlying(member.type);
  return type.kind === 'int' && type.bits < type.size * 8 && !type.bool ? type.bits : 0;
}

/** Whether some member, or the size, breaks natural alignment. */
export function isPacked(btf: Btf, type: BtfComposite): boolean {
  let largest = 1;
  for (const member of type.members) {
    const align = alignOrZero(btf, member.type);
    const misaligned = align > 0 && member.bitOffset % (8 * align) !== 0;
    if (misaligned && bitfieldWidth(btf, member) === 0) return true;
    largest = Math.max(largest, align);
  }
  return type.size % largest !== 0;
}

/** 0 where the type has no alignment, such as a function. */
export function alignOrZero(btf: Btf, id: number): number {
  try {
    return btf.alignOf(id);
  } catch (error) {
    if (error instanceof BtfError) return 0;
    throw error;
  }
}

/** Unnamed members in one gap; real structs have a few dozen. */
const MAX_PADS = 65_536;

export interface Gap {
  /** Bits from the start of the struct. */
  readonly from: number;
  readonly to: number;
  /** Alignment in bytes of what follows. */
  readonly align: number;
  /** Bit-fields on both sides, so that a zero-width one cannot be used. */
  readonly inBitfield: boolean;
}

const roundUp = (value: number, to: number): number => (to === 0 ? value : Math.ceil(value / to) * to);

/** Declarations such as `long: 64`, in order; none where the compiler leaves the gap by itself. */
export function paddingFor(gap: Gap, pointerSize: number): string[] {
  if (gap.from >= gap.to) return [];
  const units = [
    { name: 'long', bits: pointerSize * 8 },
    { name: 'int', bits: 32 },
    { name: 'short', bits: 16 },
    { name: 'char', bits: 8 },
  ];
  const widest = units.find((unit) => roundUp(gap.from, unit.bits) <= gap.to);
  if (widest === undefined) return [`char: ${gap.to - gap.from}`];
  if ((gap.to - gap.from) / widest.bits > MAX_PADS) {
    throw new BtfError('BTF_TOO_LARGE', `a gap of ${gap.to - gap.from} bits is too large to be written out`);
  }
  const out: string[] = [];
  let at = roundUp(gap.from, widest.bits);
  if (at > gap.from) {
    const alignsAlone = at === gap.to && roundUp(gap.from, gap.align * 8) === at;
    const swallowsRest = at !== gap.to && gap.to - at <= at - gap.from;
    const needed = gap.inBitfield || (at === gap.to ? !alignsAlone : swallowsRest);
    if (needed) out.push(`${widest.name}: ${gap.inBitfield ? at - gap.from : 0}`);
  }
  for (; gap.to - at >= widest.bits; at += widest.bits) out.push(`${widest.name}: ${widest.bits}`);
  const rest = gap.to - at;
  const fitting = units.findLast((unit) => unit.bits >= rest);
  if (rest > 0 && fitting !== undefined) out.push(`${fitting.name}: ${rest}`);
  return out;
}
