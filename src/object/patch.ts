/**
 * Writes references into `LD_IMM64` and calls: maps, global data, kernel symbols (libbpf's
 * `bpf_object__relocate_data`). A map's file descriptor is its index into the object's maps here.
 */

import { MapType } from '../abi/map-types.js';
import { BpflabError } from '../errors.js';
import {
  BPF_CALL,
  BPF_JMP,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
} from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { toHalves } from '../isa/int64.js';
import { ARENA_SECTION } from './data-maps.js';
import { ObjectError } from './errors.js';
import type { ResolvedKsym } from './resolve.js';
import type { BpfObject, Extern, Sym } from './types.js';

/** Helper number that no kernel has, in place of a weak kernel function that is missing; its index among the externs is added. */
export const POISON_KFUNC = 2_002_000_000;

const CALL = BPF_JMP | BPF_CALL;

/** What an extern stands for once the object is being relocated; an error where it could not be found. */
export type ExternValue = ResolvedKsym | { readonly by: 'kconfig' } | BpflabError;

export class Patcher {
  readonly #object: BpfObject;
  readonly #externs: ReadonlyMap<number, { readonly extern: Extern; readonly index: number }>;
  readonly #valueOf: (extern: Extern) => ExternValue;
  readonly #dataMaps = new Map<number, number>();
  readonly #definedMaps = new Map<string, number>();
  readonly #kconfigMap: number;
  readonly #arenaMap: number;

  constructor(object: BpfObject, externValue: (extern: Extern) => ExternValue) {
    this.#object = object;
    this.#valueOf = externValue;
    this.#externs = new Map(object.externs.map((extern, index) => [extern.symIndex, { extern, index }]));
    for (const [index, { def, sectionIndex, sectionOffset }] of object.maps.entries()) {
      if (def.origin === 'data' || def.origin === 'rodata' || def.origin === 'bss')
        this.#dataMaps.set(sectionIndex, index);
      else if (def.origin === 'btf' || def.origin === 'legacy')
        this.#definedMaps.set(`${sectionIndex}:${sectionOffset}`, index);
    }
    this.#kconfigMap = object.maps.findIndex(({ def }) => def.origin === 'kconfig');
    this.#arenaMap = object.maps.findIndex(({ def }) => def.type === MapType.arena);
  }

  /** A 64-bit load of a map or of an address in global data. `bySection`: the symbol stands for its section, the instruction holds the offset. */
  data(insns: Insn[], insn: number, sym: Sym, name: string, bySection: boolean): void {
    const first = insns[insn]!;
    const second = insns[insn + 1]!;
    const section = this.#object.sections[sym.sectionIndex]!;
    const map = this.#definedMaps.get(`${sym.sectionIndex}:${sym.value + (bySection ? first.imm : 0)}`);
    if (map !== undefined) {
      this.#setMap(insns, insn, map, BPF_PSEUDO_MAP_FD);
      return;
    }
    const data =
      section.name === ARENA_SECTION ? this.#arenaMap : (this.#dataMaps.get(sym.sectionIndex) ?? -1);
    if (data < 0) {
      const problem = this.#object.problems.find(
        ({ place }) => place.symbol === sym.name || place.section === section.name,
      );
      const why = problem === undefined ? '' : ` (${problem.detail})`;
      throw new ObjectError(
        'OBJECT_BAD_REFERENCE',
        `a reference to ${name} in section ${section.name}, which is no map and no data${why}`,
        { insn },
      );
    }
    second.imm = (first.imm + sym.value) | 0;
    this.#setMap(insns, insn, data, BPF_PSEUDO_MAP_VALUE);
  }

  #setMap(insns: Insn[], insn: number, map: number, source: number): void {
    const first = insns[insn]!;
    first.src = source;
    first.imm = map;
  }

  /** A call of, or a 64-bit load from, a symbol that the object does not define. */
  extern(insns: Insn[], insn: number, sym: Sym): void {
    const found = this.#externs.get(sym.index);
    if (found === undefined) {
      throw new ObjectError(
        'OBJECT_BAD_REFERENCE',
        `a reference to ${sym.name}, which could not be read as an extern`,
        { insn },
      );
    }
    const { extern, index } = found;
    const value = this.#valueOf(extern);
    if (value instanceof BpflabError) {
      const code = value instanceof ObjectError ? value.code : 'OBJECT_UNRESOLVED_EXTERN';
      throw new ObjectError(code, `needs ${extern.name}: ${value.detail}`, { insn });
    }
    if (insns[insn]!.code === CALL) this.#externCall(insns[insn]!, insn, extern, index, value);
    else this.#externLoad(insns, insn, extern, value);
  }

  #externCall(
    call: Insn,
    insn: number,
    extern: Extern,
    index: number,
    value: Exclude<ExternValue, BpflabError>,
  ): void {
    if (extern.kind !== 'kfunc') {
      throw new ObjectError(
        'OBJECT_BAD_REFERENCE',
        `a call of ${extern.name}, which is no function of the kernel`,
        { insn },
      );
    }
    if (call.src !== BPF_PSEUDO_CALL && call.src !== BPF_PSEUDO_KFUNC_CALL) {
      throw new ObjectError('OBJECT_BAD_REFERENCE', `a call of ${extern.name} with source ${call.src}`, {
        insn,
      });
    }
    if (value.by === 'btf') {
      call.src = BPF_PSEUDO_KFUNC_CALL;
      call.imm = value.btfId;
      call.off = 0;
      return;
    }
    Object.assign(call, { code: CALL, dst: 0, src: 0, off: 0, imm: POISON_KFUNC + index });
  }

  #externLoad(insns: Insn[], insn: number, extern: Extern, value: Exclude<ExternValue, BpflabError>): void {
    const first = insns[insn]!;
    const second = insns[insn + 1]!;
    switch (value.by) {
      case 'kconfig':
        first.src = BPF_PSEUDO_MAP_VALUE;
        first.imm = this.#kconfigMap;
        second.imm = extern.kconfig!.offset;
        return;
      case 'btf':
        first.src = BPF_PSEUDO_BTF_ID;
        first.imm = value.btfId;
        second.imm = 0;
        return;
      case 'address':
        ({ low: first.imm, high: second.imm } = toHalves(value.address));
        return;
      case 'absent':
        first.imm = 0;
        second.imm = 0;
    }
  }
}
