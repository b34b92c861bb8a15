/**
 * Instruction streams for the engine and for classic BPF: some cut out of seed objects and disturbed, some
 * made of random opcodes with plausible operands.
 */
import {
  CLASSIC_OPCODES,
  encodeInsns,
  type Insn,
  makeInsn,
  OPCODES,
  type OpcodeRow,
} from '../../src/isa/index.js';
import { mutateBytes } from './bytes.js';
import type { Rng } from './rng.js';

/** Opcodes worth more than chance would give them: loops, calls, 64-bit immediates, atomics, exits. */
const LIKELY_OPCODES = [
  0x05, 0x06, 0x15, 0x18, 0x1d, 0x55, 0x5d, 0x61, 0x62, 0x63, 0x69, 0x6b, 0x71, 0x73, 0x79, 0x7a, 0x7b, 0x81,
  0x85, 0x8d, 0x95, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x67, 0x6f, 0x77, 0x87, 0x97, 0x9f,
  0xa7, 0xb7, 0xbf, 0xc3, 0xc7, 0xcf, 0xd4, 0xd7, 0xdb, 0xdc, 0xe5, 0x04, 0x0c, 0x34, 0x3c, 0x94, 0x9c, 0xb4,
  0xbc, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xc6, 0xce, 0x16, 0x56,
];
const ATOMIC_IMMS = [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1, 0x100, 0x110];
const CALLS = [1, 2, 3, 5, 6, 7, 8, 12, 14, 25, 181, -1, 0x7fff_ffff];

function randomInsn(view: DataView, at: number, slots: number, rng: Rng): void {
  const code = rng.oneIn(10) ? rng.below(256) : rng.pick(LIKELY_OPCODES);
  const dst = rng.oneIn(20) ? rng.below(16) : rng.below(11);
  const src = rng.oneIn(3) ? rng.below(3) : rng.below(rng.oneIn(20) ? 16 : 11);
  const jump = rng.below(slots + 2) - Math.floor(at / 8) - 1;
  const kind = code & 7;
  const isJump = kind === 5 || kind === 6;
  view.setUint8(at, code);
  view.setUint8(at + 1, (src << 4) | dst);
  view.setInt16(
    at + 2,
    isJump ? jump : rng.oneIn(3) ? 0 : rng.pick([-8, -4, -1, -16, -512, -520, 4, 8, 32767, -32768]),
    true,
  );
  let imm = rng.oneIn(2) ? rng.below(70) - 4 : rng.u32() | 0;
  if (code === 0xc3 || code === 0xdb) imm = rng.pick(ATOMIC_IMMS);
  else if (code === 0x85) imm = src === 1 ? jump : rng.pick(CALLS);
  else if (code === 0xd4 || code === 0xd7 || code === 0xdc) imm = rng.pick([16, 32, 64, 8]);
  else if (code === 0x06) imm = jump;
  view.setInt32(at + 4, imm, true);
}

/** Random instructions, most with an exit at their end. */
export function randomProgram(rng: Rng): Uint8Array {
  const slots = 1 + rng.below(rng.oneIn(8) ? 300 : 24);
  const bytes = new Uint8Array(slots * 8);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 8) randomInsn(view, at, slots, rng);
  if (!rng.oneIn(8)) bytes.set([0x95, 0, 0, 0, 0, 0, 0, 0], bytes.length - 8);
  return bytes;
}

const VALID_ROWS = OPCODES.filter(
  (row) => row.inLinux && row.form !== 'gotox' && row.form !== 'addr_space_cast',
);
/** Numbers at which arithmetic goes wrong. */
const OPERANDS = [0, 1, -1, 2, 7, 8, 31, 32, 63, 255, 0x7fff, 0x8000, 0x7fff_ffff, -0x8000_0000];

/** An instruction that translation accepts; `target` gives a jump distance to some instruction. */
function validInsn(row: OpcodeRow, target: () => number, rng: Rng): Insn {
  const { off, imm, form } = row;
  const distance = off === 'jump' || imm === 'jump' ? target() : 0;
  let value = rng.oneIn(3) ? rng.u32() | 0 : rng.pick(OPERANDS);
  if (imm === 'jump') value = distance;
  else if (imm === 'shift') value = rng.below(32);
  else if (imm === 'divisor') value = rng.pick([1, -1, 2, 3, 10, 0x7fff_ffff, -0x8000_0000]);
  else if (imm === 'skb') value = rng.below(70);
  else if (imm === 'id') value = rng.below(20) + 1;
  else if (typeof imm === 'object') value = rng.pick(imm);
  // r1 points to memory, r10 to the stack: mostly use these as bases
  const base = rng.pick([1, 1, 10, 10, 5, rng.below(11)]);
  const loads = form === 'ldx' || form === 'load_acquire';
  const memory = off === 'mem';
  return makeInsn(row, {
    dst: memory && !loads ? base : rng.pick([0, 2, 3, 4, 6, 7, 8, 9]),
    src: memory && loads ? base : rng.below(11),
    off: off === 'jump' ? distance : memory ? (base === 10 ? -8 * (1 + rng.below(64)) : rng.below(40)) : 0,
    imm: value,
  });
}

/** Instructions that are all well-formed, jumps that all lead to one: these get to run. */
export function validProgram(rng: Rng): Uint8Array {
  const picked = Array.from({ length: 2 + rng.below(40) }, () => rng.pick(VALID_ROWS)).filter(
    ({ form }) => form !== 'exit' || rng.oneIn(4),
  );
  const starts: number[] = [];
  let slots = 0;
  for (const { form } of picked) {
    starts.push(slots);
    slots += form === 'ld_imm64' ? 2 : 1;
  }
  starts.push(slots);
  const insns = picked.flatMap((row, i): Insn[] => {
    const first = validInsn(row, () => rng.pick(starts) - starts[i]! - 1, rng);
    if (row.form !== 'ld_imm64') return [first];
    return [first, { code: 0, dst: 0, src: 0, off: 0, imm: row.nextImm === 'value' ? rng.u32() | 0 : 0 }];
  });
  return encodeInsns([...insns, makeInsn('exit')]);
}

/** A seed's code with some instructions changed, or its bytes mutated. */
export function disturbedProgram(code: Uint8Array, rng: Rng): Uint8Array {
  const start = rng.oneIn(2) ? 0 : rng.below(code.length / 8) * 8;
  let bytes: Uint8Array = code.slice(start, start + 8 * (1 + rng.below(512)));
  const slots = Math.floor(bytes.length / 8);
  for (let i = rng.below(6); i > 0 && slots > 0; i--) {
    randomInsn(
      new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      rng.below(slots) * 8,
      slots,
      rng,
    );
  }
  if (rng.oneIn(2)) bytes = mutateBytes(bytes, code, rng);
  return rng.oneIn(20) ? bytes : bytes.subarray(0, bytes.length - (bytes.length % 8));
}

/** A classic filter: 8-byte instructions with codes that are mostly known. */
export function randomClassic(rng: Rng): Uint8Array {
  const count = 1 + rng.below(rng.oneIn(10) ? 200 : 16);
  const bytes = new Uint8Array(count * 8);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const at = i * 8;
    view.setUint16(at, rng.oneIn(40) ? rng.below(0x200) : rng.pick(CLASSIC_OPCODES).code, true);
    view.setUint8(at + 2, rng.oneIn(10) ? rng.below(256) : rng.below(count - i));
    view.setUint8(at + 3, rng.oneIn(10) ? rng.below(256) : rng.below(count - i));
    const k = rng.oneIn(3) ? rng.u32() : rng.oneIn(6) ? (-0x1000 + rng.below(80)) >>> 0 : rng.below(64);
    view.setUint32(at + 4, k, true);
  }
  if (!rng.oneIn(8)) view.setUint16((count - 1) * 8, rng.oneIn(2) ? 0x06 : 0x16, true);
  return bytes;
}
