/**
 * Translation: instruction slots to the core's cells. A cell is 16 bytes: operation (u16), byte offsets of
 * both registers (u8 each), displacement (i32: memory, or bytes to a jump's target), immediate (i64).
 * The opcode table says what an instruction is; the core's operations bear the names of its rows.
 */
import type { ErrorPlace } from '../errors.js';
import { checkRegisters, checkReserved, checkStatic } from '../isa/check.js';
import { BPF_PSEUDO_FUNC, BPF_REG_FP } from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { jumpTarget } from '../isa/jumps.js';
import { findOpcode, OPCODES, type OpcodeRow, type RowOf } from '../isa/opcodes.js';
import { type Cell, NO_TARGET } from './cell.js';
import { CELL, STACK_FRAME } from './core/layout.js';
import { CORE_OPS } from './core.wasm.js';
import { VmProgramError } from './errors.js';
import { operandAddress } from './fuse.js';
import type { HelperDef, LoadOptions } from './helpers.js';
import { functionAddress } from './program.js';
import type { ProgramSource } from './types.js';

/** What the translator needs of the engine. */
export interface TranslateHost {
  /** Index that the core hands back to name this helper. */
  helperIndex(helper: HelperDef): number;
}

export interface Translation {
  readonly cells: readonly Cell[];
  readonly functions: readonly number[];
}

const opNumbers: Readonly<Record<string, number | undefined>> = CORE_OPS;
/** Operation of each opcode row, undefined for rows that need more than their own name. */
const OP_OF_ROW = OPCODES.map((row) => opNumbers[row.name]);
const BACK_OF_ROW = OPCODES.map((row) => opNumbers[`${row.name}_back`]);

class Translator {
  private readonly cells: Cell[] = [];
  private readonly cellOfSlot: Int32Array;
  private readonly functions = new Set([0]);

  constructor(
    private readonly source: ProgramSource,
    private readonly options: LoadOptions,
    private readonly host: TranslateHost,
    private readonly start: number,
  ) {
    this.cellOfSlot = new Int32Array(source.insns.length).fill(NO_TARGET);
  }

  fail(code: string, detail: string, slot?: number): never {
    const place: ErrorPlace = { symbol: this.source.name, ...(slot === undefined ? {} : { insn: slot }) };
    throw new VmProgramError(code, detail, place);
  }

  run(): Translation {
    const { insns, endian, name } = this.source;
    if (endian === 'big') {
      this.fail('VM_BIG_ENDIAN', 'big-endian programs can be read but not run; compile with -target bpfel');
    }
    if (insns.length === 0) this.fail('VM_EMPTY_PROGRAM', `program ${name} has no instructions`);
    const rows = this.number(insns);
    for (let slot = 0; slot < insns.length; slot++) {
      const row = rows[slot];
      if (row !== undefined) this.translate(insns[slot]!, row, slot);
    }
    const last: Cell = {
      op: CORE_OPS.end,
      dst: 0,
      src: 0,
      off: 0,
      imm: 0n,
      slot: insns.length,
      target: NO_TARGET,
    };
    this.cells.push(last);
    return { cells: this.cells, functions: [...this.functions].sort((a, b) => a - b) };
  }

  /** First pass: which cell each slot becomes. Second halves of `LD_IMM64` become none. */
  private number(insns: readonly Insn[]): (OpcodeRow | undefined)[] {
    const rows: (OpcodeRow | undefined)[] = new Array(insns.length).fill(undefined);
    let cell = 0;
    for (let slot = 0; slot < insns.length; slot++) {
      const insn = insns[slot]!;
      const row = findOpcode(insn);
      // Calls through a register are clang's, not Linux's, and harmless here.
      const known = row?.form === 'callx' ? undefined : checkStatic(insns, slot);
      const wrong = known ?? checkReserved(insn);
      if (row === undefined || wrong !== undefined) {
        this.fail('VM_BAD_INSTRUCTION', wrong ?? 'unknown opcode', slot);
      }
      rows[slot] = row;
      this.cellOfSlot[slot] = cell++;
      if (row.form === 'ld_imm64') slot++;
    }
    return rows;
  }

  private translate(insn: Insn, row: OpcodeRow, slot: number): void {
    const wrong = checkRegisters(insn);
    if (wrong !== undefined) this.fail('VM_BAD_REGISTER', wrong, slot);
    const cell: Cell = {
      op: OP_OF_ROW[row.id] ?? CORE_OPS.end,
      dst: insn.dst,
      src: insn.src,
      off: insn.off,
      imm: BigInt(insn.imm),
      slot,
      target: NO_TARGET,
    };
    this.cells.push(cell);
    switch (row.form) {
      case 'ld_imm64':
        this.imm64(cell, insn, this.source.insns[slot + 1]!, slot);
        break;
      case 'call':
        if (row.kind === 'local') this.localCall(cell, insn, slot);
        else this.hostCall(cell, insn, row.kind, slot);
        break;
      case 'ja':
      case 'gotol':
      case 'jump':
      case 'may_goto':
        this.jump(cell, insn, row, slot);
        break;
      case 'ldx':
        if (this.options.probeRead?.(slot)) cell.op = opNumbers[`probe_${row.name}`]!;
        else this.frameAccess(cell, insn, row);
        break;
      case 'st':
      case 'stx':
        this.frameAccess(cell, insn, row);
        break;
      default:
        // Shift counts are taken modulo the width (RFC 9669 section 4.1), as the core's shifts do by nature.
        break;
    }
  }

  private targetCell(target: number, slot: number): number {
    const cell = this.cellOfSlot[target];
    if (cell === undefined) {
      this.fail(
        'VM_BAD_JUMP',
        `jump to ${target} leaves the program of ${this.source.insns.length} slots`,
        slot,
      );
    }
    if (cell === NO_TARGET)
      this.fail('VM_BAD_JUMP', `jump to ${target} leads into the middle of LD_IMM64`, slot);
    return cell;
  }

  private jump(cell: Cell, insn: Insn, row: OpcodeRow, slot: number): void {
    cell.target = this.targetCell(jumpTarget(insn, slot)!, slot);
    const back = cell.target <= this.cells.length - 1;
    if (row.form === 'ja' || row.form === 'gotol') cell.op = back ? CORE_OPS.ja_back : CORE_OPS.ja;
    else if (row.form === 'jump' && back) cell.op = BACK_OF_ROW[row.id]!;
  }

  /** Accesses through r10 within the frame need no check when they run. */
  private frameAccess(cell: Cell, insn: Insn, row: RowOf<'ldx' | 'st' | 'stx'>): void {
    const base = row.form === 'ldx' ? insn.src : insn.dst;
    const inFrame = insn.off >= -STACK_FRAME && insn.off <= -row.width / 8;
    if (base !== BPF_REG_FP || !inFrame || (row.form === 'ldx' && row.signed)) return;
    cell.op = CORE_OPS[`${row.form}_stack${row.width}`];
  }

  private localCall(cell: Cell, insn: Insn, slot: number): void {
    const target = slot + 1 + insn.imm;
    cell.target = this.targetCell(target, slot);
    cell.op = CORE_OPS.call_local;
    this.functions.add(target);
  }

  private hostCall(cell: Cell, insn: Insn, kind: 'helper' | 'kfunc', slot: number): void {
    const helper = this.options.helpers?.(kind, insn.imm, insn.off);
    if (helper === undefined) {
      this.fail('VM_UNKNOWN_HELPER', `${kind} ${insn.imm} is not known here`, slot);
    }
    this.fillHelper(cell, helper);
  }

  private fillHelper(cell: Cell, helper: HelperDef): void {
    switch (helper.kind) {
      case 'const':
        cell.op = CORE_OPS.call_const;
        cell.imm = BigInt(helper.value);
        return;
      case 'slot':
        cell.op = helper.size === 4 ? CORE_OPS.call_slot32 : CORE_OPS.call_slot64;
        cell.imm = BigInt(helper.offset);
        return;
      case 'tail':
        cell.op = CORE_OPS.call_tail;
        break;
      case 'flow':
        cell.op = CORE_OPS.call_flow;
        break;
      case 'plain':
        cell.op = CORE_OPS.call_plain;
        break;
      case 'loop':
        cell.op = CORE_OPS.call_loop;
        break;
      case 'indexed':
        cell.op = CORE_OPS.call_indexed;
        break;
    }
    cell.imm = BigInt(this.host.helperIndex(helper));
  }

  private imm64(cell: Cell, insn: Insn, second: Insn, slot: number): void {
    cell.op = CORE_OPS.ld_imm64;
    if (insn.src === 0) {
      cell.imm = (BigInt(second.imm) << 32n) | BigInt(insn.imm >>> 0);
      return;
    }
    if (insn.src === BPF_PSEUDO_FUNC) {
      const target = slot + 1 + insn.imm;
      cell.imm = functionAddress(this.start + this.targetCell(target, slot) * CELL);
      this.functions.add(target);
      return;
    }
    const { resolveImm } = this.source;
    if (resolveImm === undefined) {
      this.fail(
        'VM_UNRESOLVED_IMM',
        `LD_IMM64 with source ${insn.src} needs an object's maps or types`,
        slot,
      );
    }
    cell.imm = resolveImm(insn.src, insn.imm, second.imm, slot);
  }
}

/** Translates a program whose first cell will lie at memory offset `start`. Throws `VmProgramError`. */
export function translate(
  source: ProgramSource,
  options: LoadOptions,
  host: TranslateHost,
  start: number,
): Translation {
  return new Translator(source, options, host, start).run();
}

/** Writes cells to memory from offset `start`; `ops` are their operations, fused or not. */
export function writeCells(view: DataView, start: number, cells: readonly Cell[], ops: Uint16Array): void {
  for (const [i, cell] of cells.entries()) {
    const at = start + i * CELL;
    const off = cell.target === NO_TARGET ? cell.off : (cell.target - i) * CELL;
    view.setUint16(at, ops[i]!, true);
    view.setUint8(at + 2, cell.dst * 8);
    view.setUint8(at + 3, cell.src * 8);
    view.setInt32(at + 4, operandAddress(cell, at) ?? off, true);
    view.setBigInt64(at + 8, cell.imm, true);
  }
}

/** Number of cells that a program becomes, the end marker included. */
export function countCells(insns: readonly Insn[]): number {
  let cells = 1;
  for (let slot = 0; slot < insns.length; slot++) {
    if (findOpcode(insns[slot]!)?.form === 'ld_imm64') slot++;
    cells++;
  }
  return cells;
}
