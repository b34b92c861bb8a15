/**
 * A small sound object, built part by part so that tests can break one part: an XDP program that looks a key
 * up in a legacy map, reads a global and calls a subprogram in `.text`.
 */

import { encodeInsns } from '../../src/isa/encode.js';
import type { Endian, Insn } from '../../src/isa/insn.js';
import {
  R_BPF,
  SHT_NOBITS,
  STB_GLOBAL,
  STB_LOCAL,
  STT_NOTYPE,
  STT_OBJECT,
  STT_SECTION,
} from '../../src/object/elf/constants.js';
import { ElfWriter } from './elf-writer.js';

export const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({
  code,
  dst,
  src,
  off,
  imm,
});
export const mov = (dst: number, imm: number): Insn => insn(0xb7, dst, 0, 0, imm);
export const exit: Insn = insn(0x95);
export const call = (src: number, imm: number): Insn => insn(0x85, 0, src, 0, imm);
export const load64 = (dst: number, imm = 0): Insn[] => [insn(0x18, dst, 0, 0, imm), insn(0)];

export const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);

/** Words in the object's byte order. */
export function words(endian: Endian, ...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setUint32(i * 4, value, endian === 'little');
  return bytes;
}

/** What is in the sample; every part can be replaced or, with null, left out. */
export interface SampleParts {
  readonly endian?: Endian;
  readonly code?: readonly Insn[];
  readonly sectionName?: string;
  readonly license?: Uint8Array | null;
  readonly maps?: Uint8Array | null;
  /** Names and offsets of the map symbols. */
  readonly mapSymbols?: readonly (readonly [name: string, offset: number])[];
  readonly programs?: readonly (readonly [name: string, offset: number, size: number, binding?: number])[];
  readonly subprogs?: readonly (readonly [name: string, offset: number, size: number, binding?: number])[];
  /** Adds to the writer before the object is laid out. */
  readonly more?: (writer: ElfWriter, at: SampleIndexes) => void;
  /** Relocations of the program, in place of the sample's. */
  readonly relocs?: (at: SampleIndexes) => readonly { offset: number; type: number; symbol: number }[];
}

/** Section and symbol indexes that relocations can name. */
export interface SampleIndexes {
  readonly code: number;
  readonly text: number;
  readonly maps: number;
  readonly data: number;
  readonly bss: number;
  readonly map: number;
  readonly global: number;
  readonly textSection: number;
  readonly mapsSection: number;
  readonly subprog: number;
  readonly undefinedSymbol: number;
}

/** 0: map → r1, 2: &global → r2, 4: call sub, 5: exit. */
export const sampleCode: readonly Insn[] = [...load64(1), ...load64(2, 4), call(1, -1), exit];
export const SAMPLE_SUBPROG: readonly Insn[] = [mov(0, 7), exit];

export function sampleObject(parts: SampleParts = {}): Uint8Array {
  const { endian = 'little', sectionName = 'xdp' } = parts;
  const writer = new ElfWriter(endian);
  const code = encodeInsns(parts.code ?? sampleCode, endian);
  const textIndex = writer.code('.text', encodeInsns(SAMPLE_SUBPROG, endian));
  const codeIndex = writer.code(sectionName, code);
  const mapData = parts.maps === undefined ? words(endian, 1, 4, 8, 16, 0) : parts.maps;
  const maps = mapData === null ? 0 : writer.section({ name: 'maps', data: mapData, flags: 3 });
  const data = writer.section({ name: '.data', data: words(endian, 1, 2, 3, 4), flags: 3 });
  const bss = writer.section({ name: '.bss', type: SHT_NOBITS, size: 12, flags: 3 });
  const license = parts.license === undefined ? text('GPL') : parts.license;
  if (license !== null) writer.section({ name: 'license', data: license, flags: 3 });
  const textSection = writer.symbol({ name: '', section: textIndex, type: STT_SECTION, binding: STB_LOCAL });
  let subprog = 0;
  for (const [name, value, size, binding = STB_GLOBAL] of parts.subprogs ?? [['sub', 0, 16]]) {
    subprog = writer.symbol({ name, section: textIndex, value, size, binding });
  }
  for (const [name, value, size, binding = STB_GLOBAL] of parts.programs ?? [['prog', 0, code.length]]) {
    writer.symbol({ name, section: codeIndex, value, size, binding });
  }
  let map = 0;
  for (const [name, value] of maps === 0 ? [] : (parts.mapSymbols ?? [['a_map', 0]])) {
    const index = writer.symbol({ name, section: maps, value, size: 20, type: STT_OBJECT });
    map ||= index;
  }
  const global = writer.symbol({ name: 'a_global', section: data, value: 8, size: 4, type: STT_OBJECT });
  const undefinedSymbol = writer.symbol({ name: 'missing', section: 0, type: STT_NOTYPE });
  const mapsSection = writer.symbol({ name: '', section: maps, type: STT_SECTION, binding: STB_LOCAL });
  const at = {
    code: codeIndex,
    text: textIndex,
    maps,
    data,
    bss,
    map,
    global,
    textSection,
    mapsSection,
    subprog,
    undefinedSymbol,
  };
  const { R_BPF_64_64, R_BPF_64_32 } = R_BPF;
  const sampleRelocs = [
    { offset: 0, type: R_BPF_64_64, symbol: map },
    { offset: 16, type: R_BPF_64_64, symbol: global },
    { offset: 32, type: R_BPF_64_32, symbol: subprog },
  ];
  writer.relocs(codeIndex, parts.relocs === undefined ? sampleRelocs : parts.relocs(at));
  parts.more?.(writer, at);
  return writer.bytes();
}
