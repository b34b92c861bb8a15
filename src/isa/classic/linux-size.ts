/**
 * How many instructions Linux's own conversion makes of each classic one (`bpf_convert_filter` and
 * `convert_bpf_extensions` of net/core/filter.c, Linux 6.18, x86-64). Ours is shorter, because packet
 * loads stay single instructions, but a filter whose jumps would not fit Linux's 16 bits must be
 * refused here too.
 */
import { ClassicError } from '../errors.js';
import { type AncillaryName, ancillaryOf } from './ancillary.js';
import type { SockFilter } from './insn.js';
import { findClassic } from './opcodes.js';

const ANCILLARY_SIZE: Readonly<Record<AncillaryName, number>> = {
  proto: 2,
  type: 2,
  ifidx: 4,
  nla: 4,
  nlan: 4,
  mark: 1,
  queue: 1,
  hatype: 4,
  rxhash: 1,
  cpu: 4,
  xor_x: 1,
  vlan_tci: 1,
  vlan_avail: 3,
  poff: 4,
  rand: 4,
  vlan_tpid: 2,
};

/** A packet load: a fast path for offsets in the linear part, and a call with its error exit. */
function loadSize(width: number, k: number, indirect: boolean): number {
  const offset = k | 0;
  if (indirect) return 8 + (k === 0 ? 0 : 1);
  if (offset < 0) return 8;
  const swap = width === 8 ? 0 : 1;
  return 8 + 3 + (offset === 0 ? 0 : 1) + (offset <= 0x7fff ? 1 : 3) + swap;
}

/** [instructions, how many of them come before the first jump]. */
function sizeOf({ code, jt, jf, k }: SockFilter, seccomp: boolean): readonly [number, number] {
  const row = findClassic(code)!;
  switch (row.form) {
    case 'alu':
      return [row.operand === 'x' && (row.op === 'div' || row.op === 'mod') ? 5 : 1, 0];
    case 'ld_abs': {
      const ancillary = ancillaryOf(k);
      if (seccomp) return [1, 0];
      return [ancillary === undefined ? loadSize(row.width, k, false) : ANCILLARY_SIZE[ancillary], 0];
    }
    case 'ld_ind':
      return [loadSize(row.width, k, true), 0];
    case 'ldx_msh':
      return [loadSize(8, k, false) + 6, 0];
    case 'ret':
      return [row.operand === 'k' ? 2 : 1, 0];
    case 'jump': {
      const before = row.operand === 'k' && (k | 0) < 0 ? 1 : 0;
      const single = jf === 0 || (jt === 0 && row.op !== 'jset');
      return [before + (single ? 1 : 2), before];
    }
    default:
      return [1, 0];
  }
}

/**
 * Refuse a checked filter whose jumps Linux cannot encode after its conversion.
 * @throws ClassicError `CLASSIC_JUMP`.
 */
export function checkLinuxJumps(filter: readonly SockFilter[], seccomp: boolean): void {
  const starts: number[] = [];
  let size = 0;
  for (const insn of filter) {
    starts.push(size);
    size += sizeOf(insn, seccomp)[0];
  }
  filter.forEach((insn, pc) => {
    const form = findClassic(insn.code)!.form;
    if (form !== 'ja' && form !== 'jump') return;
    const [, before] = sizeOf(insn, seccomp);
    const skips = form === 'ja' ? [insn.k] : [insn.jt, insn.jf];
    for (const [i, skip] of skips.entries()) {
      // The jump for `jf`, where there is one of its own, comes one instruction later.
      const at = starts[pc]! + before + (i === 1 && insn.jt !== 0 ? 1 : 0);
      const distance = starts[pc + 1 + skip]! - at - 1;
      if (distance <= 0x7fff) continue;
      const problem = `jump by ${skip} is ${distance} instructions after Linux's conversion, which do not fit 16 bits`;
      throw new ClassicError('CLASSIC_JUMP', problem, { insn: pc });
    }
  });
}
