/**
 * Functions of an object: which `STT_FUNC` symbols are programs to load and which are subprograms, with
 * their extents checked. Rules of libbpf's `bpf_object__add_programs`; beyond it, static functions outside
 * `.text` are taken as subprograms, and sections without function symbols (clang before 8) are cut at their labels.
 */
import { INSN_SIZE } from '../isa/insn.js';
import {
  SHF_EXECINSTR,
  SHT_PROGBITS,
  STB_GLOBAL,
  STB_LOCAL,
  STT_FUNC,
  STT_NOTYPE,
  STV_HIDDEN,
  STV_INTERNAL,
} from './elf/constants.js';
import { ObjectError } from './errors.js';
import { sectionDef } from './section-names.js';
import type { FuncDef, ProgramDef, Section, Sym } from './types.js';

/** Subprograms live here; what is here is never loaded on its own. */
export const TEXT_SECTION = '.text';

function isCode(section: Section): boolean {
  return section.type === SHT_PROGBITS && (section.flags & SHF_EXECINSTR) !== 0 && section.size > 0;
}

/** All functions in section and offset order. Throws `ObjectError` for extents that make no sense. */
export function collectFunctions(sections: readonly Section[], symbols: readonly Sym[]): FuncDef[] {
  const bySection = new Map<number, Sym[]>();
  for (const sym of symbols) {
    const known = bySection.get(sym.sectionIndex);
    if (known === undefined) bySection.set(sym.sectionIndex, [sym]);
    else known.push(sym);
  }
  const funcs: FuncDef[] = [];
  for (const section of sections) {
    if (!isCode(section)) continue;
    if (section.size % INSN_SIZE !== 0) {
      throw new ObjectError(
        'OBJECT_BAD_PROGRAM',
        `${section.size} bytes of code are not whole ${INSN_SIZE}-byte instructions`,
        { section: section.name },
      );
    }
    const syms = bySection.get(section.index) ?? [];
    const found = syms.filter((sym) => sym.type === STT_FUNC).map((sym) => funcOf(section, sym));
    if (found.length === 0) found.push(...untypedFuncs(section, syms));
    found.sort((a, b) => a.insnOff - b.insnOff || a.insnCount - b.insnCount);
    checkOverlaps(found);
    funcs.push(...found);
  }
  return funcs;
}

function funcOf(section: Section, sym: Sym): FuncDef {
  const { name, value, size } = sym;
  const place = { section: section.name, symbol: name };
  if (name === '') {
    throw new ObjectError('OBJECT_BAD_PROGRAM', `function symbol ${sym.index} has no name`, {
      section: section.name,
    });
  }
  if (value + size > section.size) {
    throw new ObjectError(
      'OBJECT_BAD_PROGRAM',
      `function at ${value} of ${size} bytes leaves the section's ${section.size}`,
      place,
    );
  }
  if (size === 0 || size % INSN_SIZE !== 0 || value % INSN_SIZE !== 0) {
    throw new ObjectError(
      'OBJECT_BAD_PROGRAM',
      `function at ${value} of ${size} bytes is not made of whole ${INSN_SIZE}-byte instructions`,
      place,
    );
  }
  const global = sym.binding !== STB_LOCAL;
  return {
    name,
    sectionIndex: section.index,
    section: section.name,
    insnOff: value / INSN_SIZE,
    insnCount: size / INSN_SIZE,
    global,
    hidden: global && (sym.visibility === STV_HIDDEN || sym.visibility === STV_INTERNAL),
    entry: section.name !== TEXT_SECTION && global,
  };
}

/**
 * Functions of a section whose symbols have neither type nor size (clang before 8): each label that is not a branch
 * target (`LBB0_1`) begins one, which ends at the next. Without any label the section is one program.
 */
function untypedFuncs(section: Section, syms: readonly Sym[]): FuncDef[] {
  const labels = syms.filter((sym) => sym.type === STT_NOTYPE && sym.name !== '' && !/^\.?L/.test(sym.name));
  const byOffset = new Map<number, Sym>();
  for (const sym of labels) {
    if (sym.value % INSN_SIZE !== 0 || sym.value >= section.size) continue;
    if (!byOffset.has(sym.value) || sym.binding !== STB_LOCAL) byOffset.set(sym.value, sym);
  }
  const starts = [...byOffset.values()].sort((a, b) => a.value - b.value);
  if (starts[0]?.value !== 0) {
    if (section.name === TEXT_SECTION) return [];
    const end = starts[0]?.value ?? section.size;
    starts.unshift({ ...anonymous, name: section.name, size: end, sectionIndex: section.index });
  }
  return starts.map((sym, i) =>
    funcOf(section, { ...sym, size: (starts[i + 1]?.value ?? section.size) - sym.value }),
  );
}

const anonymous: Sym = {
  index: 0,
  name: '',
  value: 0,
  size: 0,
  type: STT_NOTYPE,
  binding: STB_GLOBAL,
  visibility: 0,
  sectionIndex: 0,
};

/** Two names for exactly the same code are an alias; anything else that shares an instruction is wrong. */
function checkOverlaps(funcs: readonly FuncDef[]): void {
  for (let i = 1; i < funcs.length; i++) {
    const a = funcs[i - 1]!;
    const b = funcs[i]!;
    const alias = a.insnOff === b.insnOff && a.insnCount === b.insnCount;
    if (alias || b.insnOff >= a.insnOff + a.insnCount) continue;
    throw new ObjectError('OBJECT_OVERLAPPING_FUNCTIONS', `overlaps function ${a.name}`, {
      section: b.section,
      symbol: b.name,
      insn: b.insnOff,
    });
  }
}

/** The entry programs with what their sections' names say. Throws where two have the same name. */
export function collectPrograms(funcs: readonly FuncDef[]): ProgramDef[] {
  const programs: ProgramDef[] = [];
  const seen = new Set<string>();
  for (const func of funcs) {
    if (!func.entry) continue;
    const { name, section } = func;
    if (seen.has(name)) {
      throw new ObjectError('OBJECT_DUPLICATE_PROGRAM', 'two programs have this name', {
        section,
        symbol: name,
      });
    }
    seen.add(name);
    programs.push({ name, section, ...sectionDef(section), func });
  }
  return programs;
}

/** The function that holds slot `insn` of a section; of aliases the last. Binary search over `collectFunctions`' order. */
export function findFunc(funcs: readonly FuncDef[], sectionIndex: number, insn: number): FuncDef | undefined {
  let low = 0;
  let high = funcs.length - 1;
  let found: FuncDef | undefined;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const func = funcs[middle]!;
    const before =
      func.sectionIndex < sectionIndex || (func.sectionIndex === sectionIndex && func.insnOff <= insn);
    if (before) {
      found = func;
      low = middle + 1;
    } else high = middle - 1;
  }
  if (found === undefined || found.sectionIndex !== sectionIndex) return undefined;
  return insn < found.insnOff + found.insnCount ? found : undefined;
}
