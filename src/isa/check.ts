/**
 * What Linux 6.18 says of instructions whose encoding it refuses, in its words and in its order:
 * `checkStatic` is the pass over the whole program before anything is simulated
 * (`resolve_pseudo_ldimm64`), `checkReserved` what it looks at when it reaches an instruction
 * (`check_alu_op`, `check_cond_jmp_op`, `do_check`, …), `checkOperands` what follows once the operand
 * registers are known to be readable. All are EINVAL there. Everything derives from the opcode table.
 */
import * as C from './constants.js';
import { IsaInsnError } from './errors.js';
import type { Insn } from './insn.js';
import { functionTarget, jumpTarget } from './jumps.js';
import {
  findOpcode,
  type ImmRule,
  type OffRule,
  type OpcodeRow,
  type RegRule,
  rowsOfCode,
} from './opcodes.js';

const ZERO: Insn = { code: 0, dst: 0, src: 0, off: 0, imm: 0 };

/** True for opcode bytes that Linux 6.18 accepts from programs (`bpf_opcode_in_insntable`). */
export function isKnownOpcode(code: number): boolean {
  return rowsOfCode(code).some((row) => row.inLinux);
}

/**
 * The whole-program pass, for the instruction that begins at slot `i`: undefined, or the log line.
 * Map and BTF ids that `LD_IMM64` names are not looked at.
 */
export function checkStatic(insns: readonly Insn[], i: number): string | undefined {
  const insn = insns[i] ?? ZERO;
  if (C.bpfClass(insn.code) === C.BPF_LDX) {
    const mode = C.bpfMode(insn.code);
    if ((mode !== C.BPF_MEM && mode !== C.BPF_MEMSX) || insn.imm !== 0) return 'BPF_LDX uses reserved fields';
  }
  if (insn.code === C.LD_IMM64) return checkLdImm64(insn, insns[i + 1]);
  return isKnownOpcode(insn.code) ? undefined : `unknown opcode ${hex2(insn.code)}`;
}

function checkLdImm64(insn: Insn, next: Insn | undefined): string | undefined {
  if (next === undefined || next.code !== 0 || next.dst !== 0 || next.src !== 0 || next.off !== 0) {
    return 'invalid bpf_ld_imm64 insn';
  }
  const row = findOpcode(insn);
  if (row?.form !== 'ld_imm64') return 'unrecognized bpf_ld_imm64 insn';
  return row.nextImm === 0 && next.imm !== 0 ? 'unrecognized bpf_ld_imm64 insn' : undefined;
}

/** Reserved fields of one instruction: undefined, or the log line. `LDX` and unknown opcodes are `checkStatic`'s. */
export function checkReserved(insn: Insn): string | undefined {
  const row = findOpcode(insn);
  if (row !== undefined && reservedFieldsClear(row, insn)) return undefined;
  return reservedMessage(insn, row);
}

/** True when every field that the row fixes has its value. Field values that Linux ignores do not count. */
export function reservedFieldsClear(row: OpcodeRow, insn: Insn): boolean {
  return (
    regFits(row.dst, insn.dst) &&
    regFits(row.src, insn.src) &&
    offFits(row.off, insn.off) &&
    immFits(row.imm, insn.imm)
  );
}

function regFits(rule: RegRule, value: number): boolean {
  return typeof rule !== 'number' || rule === value;
}

function offFits(rule: OffRule, value: number): boolean {
  return typeof rule !== 'number' || rule === value;
}

function immFits(rule: ImmRule, value: number): boolean {
  if (typeof rule === 'number') return rule === value;
  return typeof rule === 'string' || rule.includes(value);
}

function reservedMessage(insn: Insn, row: OpcodeRow | undefined): string {
  const shape = row ?? rowsOfCode(insn.code)[0];
  if (shape === undefined) return `unknown opcode ${hex2(insn.code)}`;
  switch (shape.form) {
    case 'alu':
      return `${shape.op === 'mov' ? 'BPF_MOV' : 'BPF_ALU'} uses reserved fields`;
    case 'movsx':
      return 'BPF_MOV uses reserved fields';
    case 'addr_space_cast':
      return 'addr_space_cast insn can only convert between address space 1 and 0';
    case 'atomic':
    case 'load_acquire':
    case 'store_release':
      return atomicMessage(insn);
    case 'may_goto':
      return `invalid may_goto imm ${insn.imm}`;
    default:
      return `${RESERVED_NAMES[shape.form]} uses reserved fields`;
  }
}

type NamedForm = Exclude<
  OpcodeRow['form'],
  'alu' | 'movsx' | 'addr_space_cast' | 'atomic' | 'load_acquire' | 'store_release' | 'may_goto'
>;

const RESERVED_NAMES: Readonly<Record<NamedForm, string>> = {
  neg: 'BPF_NEG',
  end: 'BPF_END',
  ldx: 'BPF_LDX',
  st: 'BPF_ST',
  stx: 'BPF_STX',
  ld_imm64: 'BPF_LD_IMM64',
  ld_abs: 'BPF_LD_[ABS|IND]',
  ld_ind: 'BPF_LD_[ABS|IND]',
  ja: 'BPF_JA',
  gotol: 'BPF_JA',
  gotox: 'BPF_JA',
  jump: 'BPF_JMP/JMP32',
  call: 'BPF_CALL',
  callx: 'BPF_CALL',
  exit: 'BPF_EXIT',
};

/** An `imm` that some width knows is refused for its width, any other for itself. */
function atomicMessage(insn: Insn): string {
  const known = rowsOfCode(C.BPF_STX | C.BPF_ATOMIC | C.BPF_DW).some((row) => row.imm === insn.imm);
  return known ? 'invalid atomic operand size' : `BPF_ATOMIC uses invalid atomic opcode ${hex2(insn.imm)}`;
}

/** Operand values that Linux refuses at load although the machine defines them: undefined, or the log line. */
export function checkOperands(insn: Insn): string | undefined {
  const row = findOpcode(insn);
  if (row?.form !== 'alu') return undefined;
  if (row.imm === 'divisor' && insn.imm === 0) return 'div by zero';
  if (row.imm !== 'shift' || (insn.imm >= 0 && insn.imm < row.width)) return undefined;
  return `invalid shift ${insn.imm}`;
}

/** Register numbers past r10 and writes to r10: undefined, or the log line. */
export function checkRegisters(insn: Insn): string | undefined {
  return checkNumbers(insn) ?? checkWrites(insn);
}

/** Linux looks at the source first, except in conditional jumps. */
function checkNumbers(insn: Insn): string | undefined {
  const row = findOpcode(insn);
  if (row === undefined) return undefined;
  for (const field of row.form === 'jump' ? DST_FIRST : SRC_FIRST) {
    if (typeof row[field] === 'string' && insn[field] >= C.MAX_BPF_REG) return `R${insn[field]} is invalid`;
  }
  return undefined;
}

const SRC_FIRST = ['src', 'dst'] as const;
const DST_FIRST = ['dst', 'src'] as const;

function checkWrites(insn: Insn): string | undefined {
  const row = findOpcode(insn);
  if (row === undefined) return undefined;
  for (const field of SRC_FIRST) {
    const writes = row[field] === 'write' || row[field] === 'readwrite';
    if (writes && insn[field] === C.BPF_REG_FP) return 'frame pointer is read only';
  }
  return undefined;
}

/**
 * All that Linux says of one instruction's encoding when it reaches it, what registers hold apart: reserved
 * fields, registers that are read, operand values, registers that are written. Only conditional
 * jumps have their `dst` looked at before everything else.
 */
export function checkInsn(insn: Insn): string | undefined {
  const early =
    findOpcode(insn)?.form === 'jump' && insn.dst >= C.MAX_BPF_REG ? checkNumbers(insn) : undefined;
  return early ?? checkReserved(insn) ?? checkNumbers(insn) ?? checkOperands(insn) ?? checkWrites(insn);
}

/** Jumps, local calls and function pointers out of the program or into a second slot: undefined, or the log line. */
function checkTarget(insns: readonly Insn[], starts: readonly boolean[], i: number): string | undefined {
  const target = jumpTarget(insns[i]!, i) ?? functionTarget(insns[i]!, i);
  if (target === undefined || starts[target] === true) return undefined;
  if (starts[target] === false) return `jump into the middle of ldimm64 insn ${target}`;
  return `jump out of range from insn ${i} to ${target}`;
}

/**
 * Everything that can be said of a program's encoding without simulating it: opcodes, reserved fields,
 * registers, jump targets. For whoever runs programs without the verifier. Division by a zero
 * immediate and oversized shifts pass: they have a defined result.
 * @throws IsaInsnError `ISA_BAD_INSN` for the first instruction that Linux would refuse, in slot order.
 */
export function assertEncoding(insns: readonly Insn[]): void {
  const starts: boolean[] = new Array(insns.length).fill(true);
  for (let i = 0; i < insns.length; i++) {
    const insn = insns[i]!;
    const problem = checkStatic(insns, i) ?? checkReserved(insn) ?? checkRegisters(insn);
    if (problem !== undefined) throw new IsaInsnError('ISA_BAD_INSN', problem, { insn: i });
    if (insn.code === C.LD_IMM64) starts[++i] = false;
  }
  for (let i = 0; i < insns.length; i++) {
    const problem = starts[i] ? checkTarget(insns, starts, i) : undefined;
    if (problem !== undefined) throw new IsaInsnError('ISA_BAD_JUMP', problem, { insn: i });
  }
}

function hex2(value: number): string {
  return (value >>> 0).toString(16).padStart(2, '0');
}
