/**
 * Records of `.BTF.ext` by function: those of one code section, ordered by instruction, and found for a
 * function without going through all of them. Where two sections share a name the first one has the records.
 */
import { INSN_SIZE } from '../isa/insn.js';
import type { InfoBySection } from './btf/btf-ext.js';
import { ObjectError } from './errors.js';
import type { FuncDef, Section } from './types.js';

/** A record with the slot that it belongs to (from the start of its function) and its number within its section. */
export interface Located<T> {
  readonly insn: number;
  readonly index: number;
  readonly record: T;
}

interface Ordered<T> {
  readonly offset: number;
  readonly index: number;
  readonly record: T;
}

export class SectionRecords<T extends { readonly insnOff: number }> {
  readonly #info: InfoBySection<T>;
  readonly #firstOfName = new Map<string, number>();
  readonly #ordered = new Map<string, readonly Ordered<T>[]>();

  constructor(info: InfoBySection<T>, sections: readonly Section[]) {
    this.#info = info;
    for (const { name, index } of sections)
      if (!this.#firstOfName.has(name)) this.#firstOfName.set(name, index);
  }

  /** The function's records, ascending, at most one an instruction. Throws `OBJECT_BAD_BTF` where that does not hold. */
  of(func: FuncDef): Located<T>[] {
    if (this.#firstOfName.get(func.section) !== func.sectionIndex) return [];
    const ordered = this.#orderedOf(func.section);
    const start = func.insnOff * INSN_SIZE;
    const end = start + func.insnCount * INSN_SIZE;
    const found: Located<T>[] = [];
    for (let i = lowerBound(ordered, start); i < ordered.length; i++) {
      const { offset, index, record } = ordered[i]!;
      if (offset >= end) break;
      if (offset % INSN_SIZE !== 0) {
        throw new ObjectError(
          'OBJECT_BAD_BTF',
          `record ${index} of .BTF.ext names byte ${offset}, inside an instruction`,
        );
      }
      // the kernel wants ascending offsets; it also keeps the work in proportion to the code
      if (ordered[i + 1]?.offset === offset) {
        throw new ObjectError('OBJECT_BAD_BTF', `two records of .BTF.ext name byte ${offset}`);
      }
      found.push({ insn: (offset - start) / INSN_SIZE, index, record });
    }
    return found;
  }

  #orderedOf(section: string): readonly Ordered<T>[] {
    let ordered = this.#ordered.get(section);
    if (ordered === undefined) {
      const records = this.#info.get(section) ?? [];
      ordered = records
        .map((record, index) => ({ offset: record.insnOff, index, record }))
        .sort((a, b) => a.offset - b.offset);
      this.#ordered.set(section, ordered);
    }
    return ordered;
  }
}

/** Index of the first record at or behind `offset`. */
function lowerBound(ordered: readonly Ordered<unknown>[], offset: number): number {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ordered[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
