/**
 * Functions made ready for linking: CO-RE applied, then every reference to maps, data and externs written
 * into the instructions, calls and function pointers resolved to functions. Done once a function, since
 * only the distances of calls depend on the program that a function is linked into (`link.ts`).
 */

import { BpflabError } from '../errors.js';
import { BPF_CALL, BPF_JMP, BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, LD_IMM64 } from '../isa/constants.js';
import { decodeInsns } from '../isa/decode.js';
import type { Insn } from '../isa/insn.js';
import { INSN_SIZE } from '../isa/insn.js';
import type { CoreRelo } from './btf/btf-ext.js';
import { CoreRelocator } from './core/relocate.js';
import { CoreTarget } from './core/target.js';
import { R_BPF, relocTypeName, SHN_COMMON, SHN_LORESERVE, STT_SECTION } from './elf/constants.js';
import { ObjectError } from './errors.js';
import { isExternSym } from './externs.js';
import { findFunc } from './functions.js';
import type { Patcher } from './patch.js';
import { SectionRecords } from './section-records.js';
import type { BpfObject, FuncDef, Reloc, Sym } from './types.js';

/** A call or function pointer inside a prepared function. */
export interface FuncRef {
  /** Slots from the start of the function. */
  readonly insn: number;
  readonly target: FuncDef;
}

export interface PreparedFunc {
  readonly insns: Insn[];
  readonly refs: readonly FuncRef[];
}

/** Most instructions that are kept for one object, of its functions and again of its linked programs. */
export const MAX_OBJECT_INSNS = 1_000_000;

/** What a CO-RE relocation counts for against that limit: it takes that much longer than copying an instruction. */
const CORE_COST = 8;

const CALL = BPF_JMP | BPF_CALL;

const isSubprogCall = (insn: Insn): boolean =>
  insn.code === CALL && insn.src === BPF_PSEUDO_CALL && insn.dst === 0 && insn.off === 0;

/** Raw instructions of a function, as they stand in the object. */
export function funcInsns(object: BpfObject, func: FuncDef): Insn[] {
  const { data } = object.sections[func.sectionIndex]!;
  const start = func.insnOff * INSN_SIZE;
  return decodeInsns(data.subarray(start, start + func.insnCount * INSN_SIZE), object.endian);
}

export class Preparer {
  readonly #object: BpfObject;
  readonly #patcher: Patcher;
  readonly #core: CoreRelocator | undefined;
  readonly #coreRelos: SectionRecords<CoreRelo> | undefined;
  readonly #hasTarget: boolean;
  readonly #codeSections: ReadonlySet<number>;
  /** Instructions prepared so far: functions may be aliases of each other, so the file's size bounds nothing. */
  #total = 0;
  readonly #done = new Map<FuncDef, PreparedFunc | BpflabError>();
  readonly #relocs = new Map<number, ReadonlyMap<number, Reloc> | BpflabError>();

  constructor(object: BpfObject, patcher: Patcher, target: CoreTarget | undefined) {
    this.#object = object;
    this.#patcher = patcher;
    this.#hasTarget = target !== undefined;
    this.#codeSections = new Set(object.funcs.map((func) => func.sectionIndex));
    const { btf, btfExt, sections } = object;
    if (btfExt !== undefined) this.#coreRelos = new SectionRecords(btfExt.coreRelos, sections);
    // without a target, relocations that ask about local types only can still be answered
    if (btf !== undefined) this.#core = new CoreRelocator(btf, target ?? new CoreTarget(btf));
  }

  /** A subprogram, ready to be linked; shared, so not to be modified. Throws its error, the same one every time. */
  prepare(func: FuncDef): PreparedFunc {
    let result = this.#done.get(func);
    if (result === undefined) {
      result = this.#attempt(func);
      this.#done.set(func, result);
    }
    if (result instanceof BpflabError) throw result;
    return result;
  }

  /** The same for an entry: the instructions are the caller's, who appends the subprograms to them. */
  prepareEntry(func: FuncDef): PreparedFunc {
    const result = this.#attempt(func);
    if (result instanceof BpflabError) throw result;
    return result;
  }

  #attempt(func: FuncDef): PreparedFunc | BpflabError {
    try {
      return this.#prepare(func);
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      return error.within({ file: this.#object.file, section: func.section, symbol: func.name });
    }
  }

  #prepare(func: FuncDef): PreparedFunc {
    this.#total += func.insnCount;
    if (this.#total > MAX_OBJECT_INSNS) {
      throw new ObjectError(
        'OBJECT_TOO_LARGE',
        `all functions together exceed ${MAX_OBJECT_INSNS} instructions`,
      );
    }
    const insns = funcInsns(this.#object, func);
    this.#applyCore(func, insns);
    const relocs = this.#relocsOf(func.sectionIndex);
    const refs: FuncRef[] = [];
    for (let insn = 0; insn < insns.length; insn++) {
      const reloc = relocs.get(func.insnOff + insn);
      const first = insns[insn]!;
      if (first.code === LD_IMM64 && insn + 1 >= insns.length) {
        throw new ObjectError('OBJECT_BAD_PROGRAM', 'the function ends inside a 64-bit immediate load', {
          insn,
        });
      }
      if (reloc !== undefined) {
        const target = this.#relocate(insns, insn, reloc);
        if (target !== undefined) refs.push({ insn, target });
      } else if (isSubprogCall(first)) {
        const target = this.#target(func.sectionIndex, func.insnOff + insn + first.imm + 1, insn);
        refs.push({ insn, target });
      } else if (first.code === LD_IMM64 && first.src === BPF_PSEUDO_FUNC) {
        throw new ObjectError('OBJECT_BAD_REFERENCE', 'a function pointer without a relocation', { insn });
      }
    }
    return { insns, refs };
  }

  /** Applies one relocation; returns the function that the instruction refers to, if it is one. */
  #relocate(insns: Insn[], insn: number, reloc: Reloc): FuncDef | undefined {
    const first = insns[insn]!;
    const sym = this.#object.symbols[reloc.symIndex]!;
    const name = symName(sym, this.#object);
    const fail = (detail: string, code: ObjectError['code'] = 'OBJECT_BAD_REFERENCE'): never => {
      throw new ObjectError(code, detail, { insn });
    };
    const isCall = first.code === CALL;
    if (!isCall && first.code !== LD_IMM64) {
      fail(
        `a relocation for ${name} patches opcode 0x${first.code.toString(16)}, neither a call nor a 64-bit load`,
        'OBJECT_BAD_RELOCATION',
      );
    }
    if (isExternSym(sym)) {
      this.#patcher.extern(insns, insn, sym);
      return undefined;
    }
    if (sym.sectionIndex === 0 || sym.sectionIndex >= SHN_LORESERVE) {
      const common = sym.sectionIndex === SHN_COMMON ? ' (a global variable without an initial value?)' : '';
      fail(`${name} lies in no section${common}`);
    }
    const code = this.#codeSections.has(sym.sectionIndex);
    if (isCall) {
      if (first.src !== BPF_PSEUDO_CALL) {
        fail(`a call of ${name} with source ${first.src}, expected ${BPF_PSEUDO_CALL}`, 'OBJECT_BAD_CALL');
      }
      if (!code) fail(`a call of ${name}, which is no function`, 'OBJECT_BAD_CALL');
      return this.#target(sym.sectionIndex, sym.value / INSN_SIZE + first.imm + 1, insn);
    }
    if (code) {
      const target = this.#target(sym.sectionIndex, (sym.value + first.imm) / INSN_SIZE, insn);
      first.src = BPF_PSEUDO_FUNC;
      return target;
    }
    this.#patcher.data(insns, insn, sym, name, sym.type === STT_SECTION);
    return undefined;
  }

  /** The function that starts at a slot of a section; `insn` only names the caller. */
  #target(sectionIndex: number, slot: number, insn: number): FuncDef {
    const target =
      Number.isInteger(slot) && slot >= 0 ? findFunc(this.#object.funcs, sectionIndex, slot) : undefined;
    const section = this.#object.sections[sectionIndex]!.name;
    if (target === undefined) {
      throw new ObjectError(
        'OBJECT_BAD_CALL',
        `refers to slot ${slot} of section ${section}, where there is no function`,
        { insn },
      );
    }
    if (target.insnOff !== slot) {
      throw new ObjectError(
        'OBJECT_BAD_CALL',
        `refers to slot ${slot} of section ${section}, inside function ${target.name}`,
        { insn },
      );
    }
    return target;
  }

  #applyCore(func: FuncDef, insns: Insn[]): void {
    if (this.#core === undefined || this.#coreRelos === undefined) return;
    const relos = this.#coreRelos.of(func);
    this.#total += relos.length * CORE_COST;
    for (const { insn, index, record } of relos) {
      if (!this.#hasTarget && record.kind !== 'local_type_id') throw noTarget(record, index, insn);
      this.#core.apply(insns, insn, record, {}, index);
    }
  }

  #relocsOf(sectionIndex: number): ReadonlyMap<number, Reloc> {
    let found = this.#relocs.get(sectionIndex);
    if (found === undefined) {
      try {
        found = indexRelocs(this.#object, sectionIndex);
      } catch (error) {
        if (!(error instanceof BpflabError)) throw error;
        found = error;
      }
      this.#relocs.set(sectionIndex, found);
    }
    if (found instanceof BpflabError) throw found;
    return found;
  }
}

function noTarget(relo: CoreRelo, index: number, insn: number): ObjectError {
  return new ObjectError(
    'OBJECT_NO_TARGET_BTF',
    `CO-RE relocation #${index} (${relo.kind}, type [${relo.typeId}], ${relo.accessStr}) needs the types of a target kernel: give its BTF`,
    { insn },
  );
}

function symName(sym: Sym, object: BpfObject): string {
  if (sym.name !== '') return sym.name;
  return object.sections[sym.sectionIndex]?.name ?? `symbol ${sym.index}`;
}

/** Relocations of a code section by slot. */
function indexRelocs(object: BpfObject, sectionIndex: number): Map<number, Reloc> {
  const section = object.sections[sectionIndex]!;
  const found = new Map<number, Reloc>();
  for (const table of object.relocs) {
    if (table.target !== sectionIndex) continue;
    for (const [index, reloc] of table.relocs.entries()) {
      const fail = (detail: string, code: ObjectError['code'] = 'OBJECT_BAD_RELOCATION'): never => {
        throw new ObjectError(code, `relocation #${index} ${detail}`, {
          section: table.name,
          offset: reloc.offset,
        });
      };
      if (reloc.offset >= section.size) fail(`lies past the section's ${section.size} bytes`);
      if (reloc.offset % INSN_SIZE !== 0) fail('lies inside an instruction');
      if (object.symbols[reloc.symIndex] === undefined)
        fail(`names symbol ${reloc.symIndex}, which does not exist`);
      if (reloc.type !== R_BPF.R_BPF_64_64 && reloc.type !== R_BPF.R_BPF_64_32) {
        fail(
          `has type ${relocTypeName(reloc.type)}, which does not patch code`,
          'OBJECT_UNSUPPORTED_RELOCATION',
        );
      }
      const slot = reloc.offset / INSN_SIZE;
      if (found.has(slot)) fail('patches an instruction that another one patches');
      found.set(slot, reloc);
    }
  }
  return found;
}
