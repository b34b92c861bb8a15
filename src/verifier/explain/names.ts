/** Names for explanations: instructions as text, subprograms, helpers, source lines. */
import { helperById } from '../../abi/helpers.js';
import { LD_IMM64 } from '../../isa/constants.js';
import { disasmInsn } from '../../isa/disasm.js';
import type { DisasmOptions } from '../../isa/disasm-types.js';
import { functionTarget } from '../../isa/jumps.js';
import type { VerifyRequest } from '../types.js';

/** A line of the program's source. */
export interface SourceLine {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

/** `bpf_map_lookup_elem`, or the number of a helper that does not exist. */
export function helperName(id: number): string {
  const helper = helperById(id);
  return helper === undefined ? `helper ${id}` : `bpf_${helper.name}`;
}

/** A kernel function's name by its id; undefined without the kernel's types, and for functions of modules. */
export function kfuncName(request: VerifyRequest, id: number, off: number): string | undefined {
  const btf = request.policy?.vmlinux;
  if (btf === undefined || off !== 0 || !btf.has(id) || btf.kindOf(id) !== 'func') return undefined;
  return btf.nameOf(id);
}

export function insnTextAt(request: VerifyRequest, slot: number): string {
  const { insns, maps } = request;
  const insn = insns[slot];
  if (insn === undefined) return '';
  if (insn.code === LD_IMM64 && (insn.src === 1 || insn.src === 2)) {
    const name = maps?.[insn.imm]?.name ?? '';
    const map = name === '' ? `map ${insn.imm}` : `map ${name}`;
    return insn.src === 1
      ? `r${insn.dst} = ${map}`
      : `r${insn.dst} = value of ${map} + ${insns[slot + 1]?.imm ?? 0}`;
  }
  const options: DisasmOptions = {
    dialect: 'kernel',
    helperName: (id) => (helperById(id) === undefined ? undefined : helperName(id)),
    kfuncName: ({ imm, off }) => kfuncName(request, imm, off),
  };
  // Kernel dialect: the opcode in parentheses goes first.
  return disasmInsn(insns, slot, options).replace(/^\([0-9a-f]{2}\) /, '');
}

export function sourceAt(request: VerifyRequest, slot: number | undefined): SourceLine | undefined {
  const lines = request.lineInfo;
  if (slot === undefined || lines === undefined) return undefined;
  let found: SourceLine | undefined;
  let at = -1;
  for (const line of lines) {
    if (line.insnOff > slot || line.insnOff < at) continue;
    at = line.insnOff;
    found = { file: line.file, line: line.line, column: line.column, text: line.text.trim() };
  }
  return found;
}

/** Slots at which subprograms start: the entry, and whatever is called or handed out as a callback. */
export function subprogramStarts(request: VerifyRequest): number[] {
  const starts = new Set([0]);
  request.insns.forEach((insn, i) => {
    const target = functionTarget(insn, i);
    if (target !== undefined) starts.add(target);
  });
  return [...starts].sort((a, b) => a - b);
}

function nameByBtf({ funcInfo, btf }: VerifyRequest, start: number): string {
  const info = funcInfo?.find(({ insnOff }) => insnOff === start);
  if (info === undefined || btf === undefined) return '';
  try {
    const type = btf.type(info.typeId);
    return type.kind === 'func' ? type.name : '';
  } catch {
    // Ids that lead nowhere may be the very reason of the rejection.
    return '';
  }
}

/** Name by BTF, or `subprogram at N`; the entry without a name is `main`. */
export function subprogramName(request: VerifyRequest, start: number): string {
  const name = nameByBtf(request, start);
  if (name !== '') return name;
  if (start !== 0) return `subprogram at ${start}`;
  return request.name === undefined || request.name === '' ? 'main' : request.name;
}

export function subprogramOf(request: VerifyRequest, slot: number): string {
  const starts = subprogramStarts(request);
  const start = starts.findLast((at) => at <= slot) ?? 0;
  return subprogramName(request, start);
}

/** `(line 31: if (data + 14 > data_end))`, or nothing. */
export function sourceNote(source: SourceLine | undefined): string {
  return source === undefined ? '' : ` (line ${source.line}: \`${source.text}\`)`;
}
