import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { elfSection } from '../../../src/object/btf/elf-btf.js';
import { BtfError, encodeBtf } from '../../../src/object/btf/index.js';
import { btfFromBytes, loadTargetBtf, readBtfFile } from '../../../src/object/btf/target.js';
import { INT, ptr, struct } from './sample.js';

interface ElfShape {
  readonly wide: boolean;
  readonly little: boolean;
  readonly machine: number;
}

/** An ELF file of three sections: none, `.BTF` and the section names. */
function elfWith(section: Uint8Array, { wide, little, machine }: ElfShape): Uint8Array {
  const [headerSize, entrySize] = wide ? [64, 64] : [52, 40];
  const names = new TextEncoder().encode('\0.BTF\0.shstrtab\0');
  const tableAt = headerSize;
  const dataAt = tableAt + 3 * entrySize;
  const bytes = new Uint8Array(dataAt + section.length + names.length);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number): void =>
    wide ? view.setBigUint64(at, BigInt(value), little) : view.setUint32(at, value, little);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1]);
  view.setUint16(18, machine, little);
  word(wide ? 40 : 32, tableAt);
  [entrySize, 3, 2].forEach((value, i) => {
    view.setUint16((wide ? 58 : 46) + 2 * i, value, little);
  });
  const entry = (index: number, nameAt: number, offset: number, size: number): void => {
    const at = tableAt + index * entrySize;
    view.setUint32(at, nameAt, little);
    view.setUint32(at + 4, 1, little);
    word(at + (wide ? 24 : 16), offset);
    word(at + (wide ? 32 : 20), size);
  };
  entry(1, 1, dataAt, section.length);
  entry(2, 6, dataAt + section.length, names.length);
  bytes.set(section, dataAt);
  bytes.set(names, dataAt + section.length);
  return bytes;
}

const BTF = encodeBtf([INT, struct('s', 4, ['m', 1, 0])]);

describe('BTF inside ELF', () => {
  it.each<[string, ElfShape]>([
    ['a BPF object', { wide: true, little: true, machine: 247 }],
    ['an x86-64 kernel', { wide: true, little: true, machine: 62 }],
    ['a big-endian s390x kernel', { wide: true, little: false, machine: 22 }],
    ['a 32-bit Arm kernel', { wide: false, little: true, machine: 40 }],
    ['a big-endian 32-bit PowerPC kernel', { wide: false, little: false, machine: 20 }],
  ])('is found in %s', (_what, shape) => {
    const file = elfWith(BTF, shape);
    expect(elfSection(file, '.BTF')).toEqual(BTF);
    expect(elfSection(file, '.BTF.ext')).toBeUndefined();
    expect(btfFromBytes(file, 'vmlinux').findByName('s')).toBe(2);
  });

  const shape = { wide: true, little: true, machine: 247 };
  const broken = (offset: number, ...values: number[]): Uint8Array => {
    const file = elfWith(BTF, shape);
    file.set(values, offset);
    return file;
  };

  it.each<[string, Uint8Array]>([
    ['broken ELF file: unknown class 3', broken(4, 3)],
    ['broken ELF file: unknown byte order 0', broken(5, 0)],
    ['broken ELF file: its header is cut off', elfWith(BTF, shape).subarray(0, 63)],
    ['broken ELF file: its section table lies outside the file', broken(40, 0, 0, 0, 1)],
    ['broken ELF file: its section table lies outside the file', broken(60, 0xff, 0xfe)],
    ['broken ELF file: section headers of 8 bytes', broken(58, 8, 0)],
    ['broken ELF file: it has no section names', broken(62, 9, 0)],
    ['broken ELF file: section 1 lies outside the file', broken(64 + 64 + 32, 0xff, 0xff)],
    ['the ELF file has no .BTF section', broken(64 + 64, 0)],
    ['the ELF file has no .BTF section', broken(40, 0)],
  ])('%s', (detail, file) => {
    let caught: unknown;
    try {
      btfFromBytes(file, 'x.o');
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(BtfError);
    expect(caught).toMatchObject({ code: 'BTF_NOT_FOUND', detail, place: { file: 'x.o' } });
  });
});

describe('targets', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'bpflab-btf-'));
    writeFileSync(join(folder, 'base.btf'), BTF);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('opens a file, and split BTF on its base', () => {
    const base = loadTargetBtf({ from: 'file', path: join(folder, 'base.btf') });
    expect(base.findByName('s')).toBe(2);
    writeFileSync(join(folder, 'split.btf'), encodeBtf([ptr(2)], { base }));
    const split = loadTargetBtf({ from: 'file', path: join(folder, 'split.btf'), base });
    expect(split.type(3)).toEqual(ptr(2));
  });

  it('says which file cannot be read', () => {
    expect(() => readBtfFile(join(folder, 'none'))).toThrow('none: cannot be read (ENOENT)');
    expect(() => readBtfFile(folder)).toThrow('cannot be read (EISDIR)');
  });

  const embedded = loadTargetBtf({ from: 'embedded' });

  it('ships valid types, opened once', () => {
    expect(() => embedded.validate()).not.toThrow();
    expect(loadTargetBtf({ from: 'embedded' })).toBe(embedded);
  });

  // sizes and offsets of Linux 6.18 on x86-64
  it.each([
    ['task_struct', 'pid', 1264],
    ['sk_buff', 'len', 112],
    ['iphdr', 'saddr', 12],
    ['pt_regs', 'di', 112],
    ['xdp_buff', 'data_end', 8],
    ['trace_event_raw_sys_enter', 'args', 16],
    ['sock', '__sk_common', 0],
    ['net_device', 'ifindex', undefined],
    ['request', 'rq_disk', null],
  ])('ships %s with %s', (type, member, offset) => {
    const found = embedded.findMember(embedded.findByName(type, 'struct')!, member);
    if (offset === null) expect(found).toBeUndefined();
    else if (offset === undefined) expect(found!.bitOffset % 32).toBe(0);
    else expect(found!.bitOffset / 8).toBe(offset);
  });
});
