/**
 * Which classic programs Linux 6.18 loads: `bpf_check_basics_ok`, `bpf_check_classic`,
 * `check_load_and_stores` (net/core/filter.c) and `seccomp_check_filter` (kernel/seccomp.c), in that
 * order. Linux answers EINVAL to all; the reasons are ours.
 */
import { BPF_MAXINSNS, BPF_MEMWORDS } from '../constants.js';
import { ClassicError } from '../errors.js';
import { ancillaryOf, SECCOMP_DATA_SIZE, SKF_AD_OFF } from './ancillary.js';
import type { SockFilter } from './insn.js';
import { type ClassicRow, findClassic } from './opcodes.js';

/**
 * Refuse what `SO_ATTACH_FILTER` would.
 * @throws ClassicError `CLASSIC_LENGTH`, `CLASSIC_OPCODE`, `CLASSIC_OPERAND`, `CLASSIC_JUMP`, `CLASSIC_NO_RET`, `CLASSIC_UNINIT`.
 */
export function checkClassic(filter: readonly SockFilter[]): void {
  if (filter.length === 0 || filter.length > BPF_MAXINSNS) {
    throw new ClassicError(
      'CLASSIC_LENGTH',
      `a filter has 1 to ${BPF_MAXINSNS} instructions, not ${filter.length}`,
    );
  }
  filter.forEach((insn, pc) => {
    const row = findClassic(insn.code);
    if (row === undefined) fail('CLASSIC_OPCODE', `unknown classic opcode 0x${hex(insn.code)}`, pc);
    checkOperand(filter, pc, row);
  });
  const last = filter.length - 1;
  if (findClassic(filter[last]!.code)?.form !== 'ret')
    fail('CLASSIC_NO_RET', 'the last instruction is not a ret', last);
  checkScratch(filter);
}

function checkOperand(filter: readonly SockFilter[], pc: number, row: ClassicRow): void {
  const { k, jt, jf } = filter[pc]!;
  const behind = filter.length - pc - 1;
  switch (row.form) {
    case 'alu':
      if (row.operand === 'x') return;
      if ((row.op === 'div' || row.op === 'mod') && k === 0) fail('CLASSIC_OPERAND', `${row.op} by zero`, pc);
      if ((row.op === 'lsh' || row.op === 'rsh') && k >= 32) fail('CLASSIC_OPERAND', `shift by ${k}`, pc);
      return;
    case 'mem':
    case 'st':
      if (k >= BPF_MEMWORDS) fail('CLASSIC_OPERAND', `M[${k}]: there are ${BPF_MEMWORDS} scratch words`, pc);
      return;
    case 'ja':
      if (k >= behind) fail('CLASSIC_JUMP', `jump by ${k} leaves the filter`, pc);
      return;
    case 'jump':
      if (jt >= behind || jf >= behind)
        fail('CLASSIC_JUMP', `jump by ${Math.max(jt, jf)} leaves the filter`, pc);
      return;
    case 'ld_abs':
      if (k >= SKF_AD_OFF && ancillaryOf(k) === undefined) {
        fail('CLASSIC_OPERAND', `unknown ancillary load SKF_AD_OFF + ${k - SKF_AD_OFF}`, pc);
      }
  }
}

/** Every scratch word that is read has been written on every way there. One bit a word. */
function checkScratch(filter: readonly SockFilter[]): void {
  const ALL = 0xffff;
  const arriving = new Uint16Array(filter.length).fill(ALL);
  let written = 0;
  filter.forEach(({ code, k, jt, jf }, pc) => {
    written &= arriving[pc]!;
    const form = findClassic(code)!.form;
    if (form === 'st') written |= 1 << k;
    else if (form === 'mem' && (written & (1 << k)) === 0)
      fail('CLASSIC_UNINIT', `M[${k}] may not have been written`, pc);
    else if (form === 'ja' || form === 'jump') {
      for (const skip of form === 'ja' ? [k] : [jt, jf]) arriving[pc + 1 + skip]! &= written;
      written = ALL;
    }
  });
}

/**
 * Refuse what `seccomp(SECCOMP_SET_MODE_FILTER)` would.
 * @throws ClassicError as `checkClassic`, and `CLASSIC_SECCOMP`.
 */
export function checkSeccomp(filter: readonly SockFilter[]): void {
  checkClassic(filter);
  filter.forEach(({ code, k }, pc) => {
    const row = findClassic(code)!;
    if (!row.seccomp)
      fail('CLASSIC_SECCOMP', `${row.mnemonic} (0x${hex(code)}) is not for seccomp filters`, pc);
    if (row.form !== 'ld_abs') return;
    if (k >= SECCOMP_DATA_SIZE || k % 4 !== 0) {
      fail(
        'CLASSIC_SECCOMP',
        `ld [${k}]: struct seccomp_data is read by aligned words below ${SECCOMP_DATA_SIZE}`,
        pc,
      );
    }
  });
}

function fail(code: string, problem: string, insn: number): never {
  throw new ClassicError(code, problem, { insn });
}

function hex(code: number): string {
  return code.toString(16).padStart(2, '0');
}
