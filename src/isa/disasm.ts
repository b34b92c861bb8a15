/**
 * Disassembler: C-like text in the syntax of `llvm-objdump -d` (LLVM 19) or of the kernel's verifier
 * log (`print_bpf_insn` of Linux 6.18), one line an instruction, `LD_IMM64` taking two slots.
 *
 * Neither tool's text holds everything an instruction encodes: LLVM prints helper, local and kernel
 * function calls alike, the kernel prints every `LD_IMM64` source alike, and both pass over reserved
 * fields. By default those few instructions get words of their own, so that assembling the text
 * gives the same bytes; `literal` prints what the tool would.
 */
import { reservedFieldsClear } from './check.js';
import { LD_IMM64 } from './constants.js';
import { insnSlots } from './decode.js';
import { kernelText } from './disasm-kernel.js';
import { llvmText } from './disasm-llvm.js';
import type { DisasmLine, DisasmOptions, PrintContext } from './disasm-types.js';
import type { Insn } from './insn.js';
import { jumpTarget } from './jumps.js';
import { findOpcode, type OpcodeRow } from './opcodes.js';
import { RAW_DIRECTIVE } from './syntax.js';

export type { Dialect, DisasmLine, DisasmOptions } from './disasm-types.js';

/**
 * Text of the instruction that begins at slot `slot`: no slot number, no line end.
 * Never fails: what is no instruction prints as `.insn` (or as the tool prints it, when `literal`).
 */
export function disasmInsn(insns: readonly Insn[], slot: number, options: DisasmOptions = {}): string {
  const insn = insns[slot] ?? { code: 0, dst: 0, src: 0, off: 0, imm: 0 };
  const next = insn.code === LD_IMM64 ? insns[slot + 1] : undefined;
  const row = findOpcode(insn);
  const context: PrintContext = { insns, slot, insn, next, options };
  const kernel = options.dialect === 'kernel';
  if (options.literal) return kernel ? kernelText(context, row) : llvmText(context, row);
  if (row === undefined || !isLossless(row, insn, next)) return rawText(insn);
  return kernel ? kernelText(context, row) : llvmText(context, row);
}

/** Text of a whole program, an entry per instruction. A `LD_IMM64` cut off by the end takes one slot. */
export function disassemble(insns: readonly Insn[], options: DisasmOptions = {}): DisasmLine[] {
  const lines: DisasmLine[] = [];
  for (let slot = 0; slot < insns.length; ) {
    const text = disasmInsn(insns, slot, options);
    const whole = insnSlots(insns[slot]!) === 2 && slot + 1 < insns.length && !text.startsWith(RAW_DIRECTIVE);
    const slots = whole ? 2 : 1;
    lines.push({ slot, slots, text });
    slot += slots;
  }
  return lines;
}

/** Slots that jumps and local calls lead to, for whoever prints labels; in ascending order, each once. */
export function jumpTargets(insns: readonly Insn[]): number[] {
  const targets = new Set<number>();
  for (let slot = 0; slot < insns.length; slot += insnSlots(insns[slot]!)) {
    const target = jumpTarget(insns[slot]!, slot);
    if (target !== undefined) targets.add(target);
  }
  return [...targets].sort((a, b) => a - b);
}

/** True where the dialects' words hold every field of the instruction. */
function isLossless(row: OpcodeRow, insn: Insn, next: Insn | undefined): boolean {
  if (!reservedFieldsClear(row, insn) || (row.off === 'ignored' && insn.off !== 0)) return false;
  if (row.form !== 'ld_imm64') return true;
  if (next === undefined || next.code !== 0 || next.dst !== 0 || next.src !== 0 || next.off !== 0)
    return false;
  return row.nextImm === 'value' || row.nextImm === 'id' || next.imm === 0;
}

function rawText(insn: Insn): string {
  return `${RAW_DIRECTIVE} 0x${insn.code.toString(16).padStart(2, '0')}, ${insn.dst}, ${insn.src}, ${insn.off}, ${insn.imm}`;
}
