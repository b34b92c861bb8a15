/**
 * Listings of relocated programs: instructions with their slot numbers, under the functions they belong to and,
 * where asked for, under the source lines of `.BTF.ext`; what a number stands for (helper, map) in a remark.
 */
import { helperById, helperText } from '../abi/helpers.js';
import { progTypeName } from '../abi/prog-types.js';
import {
  BPF_CALL,
  BPF_JMP,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  LD_IMM64,
} from '../isa/constants.js';
import { type Dialect, type DisasmOptions, disassemble } from '../isa/disasm.js';
import { encodeInsns } from '../isa/encode.js';
import type { Insn } from '../isa/insn.js';
import { jumpTarget } from '../isa/jumps.js';
import type { LineInfo, LoadableObject, LoadableProgram } from '../object/types.js';

export interface ListingOptions {
  /** `llvm`: as llvm-objdump prints; `kernel`: as the verifier's log does. Default `llvm`. */
  readonly dialect?: Dialect;
  /** Source lines above the instructions they became. */
  readonly source?: boolean;
  /** The encoded bytes in front of each instruction, little-endian. */
  readonly bytes?: boolean;
  /** Name of a kernel function by its id in the target BTF. */
  readonly kfuncName?: (btfId: number) => string | undefined;
  /** How to render what is not an instruction (source lines, remarks, function names). */
  readonly faint?: (text: string) => string;
}

/** Column at which remarks begin where the instruction is short enough. */
const REMARK_COLUMN = 44;

/** The listing of one program, without a final newline. */
export function programListing(
  object: LoadableObject,
  program: LoadableProgram,
  options: ListingOptions = {},
): string {
  const faint = options.faint ?? ((text: string): string => text);
  const functionAt = new Map(program.subProgs.map((sub) => [sub.insnOff, sub.name]));
  const sourceAt = options.source ? sourceLines(program.lineInfo) : new Map<number, string>();
  const lines = [
    `${program.name}: ${progTypeName(program.type)}, section ${program.section}, ${program.insns.length} slots`,
  ];
  for (const { slot, slots, text } of disassemble(program.insns, disasmOptions(program, options))) {
    const name = functionAt.get(slot);
    if (name !== undefined) lines.push(`${name}:`);
    const source = sourceAt.get(slot);
    if (source !== undefined) lines.push(faint(source));
    const bytes = options.bytes ? `${hexBytes(program.insns.slice(slot, slot + slots))}  ` : '';
    const remark = remarkOf(object, program, slot, options);
    const body = `${String(slot).padStart(6)}: ${bytes}${text}`;
    lines.push(remark === '' ? body : `${body.padEnd(REMARK_COLUMN)} ${faint(`; ${remark}`)}`);
  }
  return lines.join('\n');
}

function disasmOptions(program: LoadableProgram, options: ListingOptions): DisasmOptions {
  const functionAt = new Map(program.subProgs.map((sub) => [sub.insnOff, sub.name]));
  return {
    dialect: options.dialect ?? 'llvm',
    literal: true,
    alu32: true,
    helperName: (id) => {
      const helper = helperById(id);
      return helper && `bpf_${helper.name}`;
    },
    kfuncName: (insn) => options.kfuncName?.(insn.imm),
    targetName: (slot) => functionAt.get(slot),
  };
}

/** What an instruction's number stands for; the kernel's dialect already says it of calls. */
function remarkOf(
  object: LoadableObject,
  program: LoadableProgram,
  slot: number,
  options: ListingOptions,
): string {
  const insn = program.insns[slot]!;
  if (insn.code === LD_IMM64) {
    if (insn.src !== BPF_PSEUDO_MAP_FD && insn.src !== BPF_PSEUDO_MAP_VALUE) return '';
    const map = object.maps[insn.imm];
    if (map === undefined) return '';
    const offset = program.insns[slot + 1]?.imm ?? 0;
    return insn.src === BPF_PSEUDO_MAP_FD ? `map ${map.name}` : `value of map ${map.name} + ${offset}`;
  }
  const target = jumpTarget(insn, slot);
  if (target !== undefined) return `to ${target}`;
  if (options.dialect === 'kernel' || insn.code !== (BPF_JMP | BPF_CALL)) return '';
  if (insn.src === 0) return helperText(insn.imm);
  return insn.src === BPF_PSEUDO_KFUNC_CALL ? (options.kfuncName?.(insn.imm) ?? '') : '';
}

/** `; text @ file:line` by slot, repeated lines once. */
function sourceLines(lineInfo: readonly LineInfo[]): Map<number, string> {
  const lines = new Map<number, string>();
  let previous = '';
  for (const { insnOff, file, line, text } of lineInfo) {
    const base = file.slice(file.lastIndexOf('/') + 1);
    const source = `; ${text.trim()} @ ${base}:${line}`;
    if (source !== previous) lines.set(insnOff, source);
    previous = source;
  }
  return lines;
}

function hexBytes(insns: readonly Insn[]): string {
  const hex = Buffer.from(encodeInsns(insns)).toString('hex');
  return hex
    .replace(/../g, '$& ')
    .trimEnd()
    .padEnd(8 * 3 - 1);
}
