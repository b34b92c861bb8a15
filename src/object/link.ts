/**
 * One program out of prepared functions: the entry, then every function it reaches in the order in which
 * libbpf appends them (depth first, at the first call; `bpf_object__reloc_code`), calls made pc-relative,
 * function and line information moved along. The exception callback comes last.
 */
import { BpflabError } from '../errors.js';
import type { Insn } from '../isa/insn.js';
import type { Btf } from './btf/btf.js';
import type { FuncInfoRecord, LineInfoRecord } from './btf/btf-ext.js';
import { ObjectError } from './errors.js';
import { TEXT_SECTION } from './functions.js';
import type { FuncRef, Preparer } from './prepare.js';
import { type Located, SectionRecords } from './section-records.js';
import type { BpfObject, FuncDef, FuncInfo, LineInfo, SubProg } from './types.js';

/** Longest program that the kernel takes (`BPF_COMPLEXITY_LIMIT_INSNS`). */
const MAX_PROGRAM_INSNS = 1_000_000;

export interface LinkedProgram {
  readonly insns: Insn[];
  readonly subProgs: SubProg[];
  readonly funcInfo: FuncInfo[];
  readonly lineInfo: LineInfo[];
}

/** A function whose references are being followed. */
interface Frame {
  readonly refs: readonly FuncRef[];
  readonly base: number;
  next: number;
}

export class Linker {
  readonly #object: BpfObject;
  readonly #preparer: Preparer;
  readonly #funcInfo: SectionRecords<FuncInfoRecord> | undefined;
  readonly #lineInfo: SectionRecords<LineInfoRecord> | undefined;
  /** Exception callbacks by the name of the entry function that is tagged with them. */
  readonly #callbacks: ReadonlyMap<string, readonly string[]> | BpflabError;

  constructor(object: BpfObject, preparer: Preparer) {
    this.#object = object;
    this.#preparer = preparer;
    const { btfExt, sections } = object;
    if (btfExt !== undefined) {
      this.#funcInfo = new SectionRecords(btfExt.funcInfo, sections);
      this.#lineInfo = new SectionRecords(btfExt.lineInfo, sections);
    }
    this.#callbacks = exceptionCallbacks(object);
  }

  /** Links the program that starts with `entry`. Throws the first error of any function it reaches. */
  link(entry: FuncDef): LinkedProgram {
    const prepared = this.#preparer.prepareEntry(entry);
    const program: LinkedProgram = { insns: prepared.insns, subProgs: [], funcInfo: [], lineInfo: [] };
    const placed = new Map<FuncDef, number>();
    this.#place(entry, 0, program, placed);
    this.#follow({ refs: prepared.refs, base: 0, next: 0 }, program, placed);
    const callback = this.#exceptionCallback(entry);
    if (callback !== undefined && !placed.has(callback)) {
      this.#follow(this.#append(callback, program, placed), program, placed);
    }
    return program;
  }

  /** Resolves a function's references, appending what is not there yet, and goes on inside what was appended. */
  #follow(root: Frame, program: LinkedProgram, placed: Map<FuncDef, number>): void {
    const frames: Frame[] = [root];
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const ref = frame.refs[frame.next++];
      if (ref === undefined) {
        frames.pop();
        continue;
      }
      if (!placed.has(ref.target)) frames.push(this.#append(ref.target, program, placed));
      pointTo(program.insns, frame.base, ref, placed.get(ref.target)!);
    }
  }

  #append(func: FuncDef, program: LinkedProgram, placed: Map<FuncDef, number>): Frame {
    const { insns, refs } = this.#preparer.prepare(func);
    const base = program.insns.length;
    if (base + insns.length > MAX_PROGRAM_INSNS) {
      throw new ObjectError(
        'OBJECT_TOO_LARGE',
        `the program with its subprograms exceeds ${MAX_PROGRAM_INSNS} instructions`,
        { file: this.#object.file, section: func.section, symbol: func.name },
      );
    }
    for (const { code, dst, src, off, imm } of insns) program.insns.push({ code, dst, src, off, imm });
    this.#place(func, base, program, placed);
    return { refs, base, next: 0 };
  }

  #place(func: FuncDef, base: number, program: LinkedProgram, placed: Map<FuncDef, number>): void {
    placed.set(func, base);
    program.subProgs.push({ name: func.name, insnOff: base });
    this.#appendInfo(func, base, program);
  }

  /** Records of a function, only while every function before it had them: the kernel wants all or none. */
  #appendInfo(func: FuncDef, base: number, program: LinkedProgram): void {
    const first = base === 0;
    if (this.#funcInfo !== undefined && (first || program.funcInfo.length > 0)) {
      const records = this.#recordsOf(this.#funcInfo, func);
      if (records.length === 0 && !first) throw missingInfo('function', func, this.#object.file);
      for (const { insn, record } of records)
        program.funcInfo.push({ insnOff: base + insn, typeId: record.typeId });
    }
    if (this.#lineInfo !== undefined && (first || program.lineInfo.length > 0)) {
      const records = this.#recordsOf(this.#lineInfo, func);
      if (records.length === 0 && !first) throw missingInfo('line', func, this.#object.file);
      for (const { insn, record } of records) program.lineInfo.push({ ...record, insnOff: base + insn });
    }
  }

  #recordsOf<T extends { readonly insnOff: number }>(
    records: SectionRecords<T>,
    func: FuncDef,
  ): Located<T>[] {
    try {
      return records.of(func);
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      throw error.within({ file: this.#object.file, section: func.section, symbol: func.name });
    }
  }

  #exceptionCallback(entry: FuncDef): FuncDef | undefined {
    if (this.#callbacks instanceof BpflabError) {
      throw this.#callbacks.within({ file: this.#object.file, section: entry.section, symbol: entry.name });
    }
    const names = this.#callbacks.get(entry.name) ?? [];
    // with several the verifier refuses the program; nothing is appended then
    const [name] = names;
    if (name === undefined || names.length > 1) return undefined;
    const found = this.#object.funcs.filter((func) => func.section === TEXT_SECTION && func.name === name);
    const [callback] = found;
    const fail = (detail: string): never => {
      throw new ObjectError('OBJECT_BAD_CALL', `exception callback ${name} ${detail}`, {
        file: this.#object.file,
        section: entry.section,
        symbol: entry.name,
      });
    };
    if (callback === undefined) return fail('is no function in .text');
    if (!callback.global || callback.hidden) return fail('must be a global function that is not hidden');
    return callback;
  }
}

/** Makes a call or function pointer refer to the function at slot `target`. */
function pointTo(insns: readonly Insn[], base: number, ref: FuncRef, target: number): void {
  const at = base + ref.insn;
  insns[at]!.imm = target - at - 1;
}

function missingInfo(what: string, func: FuncDef, file: string): ObjectError {
  return new ObjectError(
    'OBJECT_BAD_BTF',
    `.BTF.ext has no ${what} information for this function, but for its caller`,
    {
      file,
      section: func.section,
      symbol: func.name,
    },
  );
}

const CALLBACK_TAG = 'exception_callback:';

/** Declaration tags `exception_callback:NAME` of global functions; an error where the BTF cannot be read that far. */
function exceptionCallbacks({ btf }: BpfObject): Map<string, string[]> | BpflabError {
  try {
    return btf === undefined ? new Map() : findCallbackTags(btf);
  } catch (error) {
    if (error instanceof BpflabError) return error;
    throw error;
  }
}

function findCallbackTags(btf: Btf): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (let id = 1; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'decl_tag' || !btf.nameOf(id).startsWith(CALLBACK_TAG)) continue;
    const tag = btf.type(id);
    if (tag.kind !== 'decl_tag' || tag.componentIndex !== -1) continue;
    const func = btf.type(tag.type);
    if (func.kind !== 'func' || func.linkage !== 1) continue;
    const names = found.get(func.name) ?? [];
    names.push(tag.name.slice(CALLBACK_TAG.length));
    found.set(func.name, names);
  }
  return found;
}
