import { describe, expect, it } from '@jest/globals';
import type { Endian } from '../../../src/isa/insn.js';
import { Btf, BtfError, BtfExt, encodeBtf } from '../../../src/object/btf/index.js';
import { func, INT, proto, struct } from './sample.js';

/** Strings that the records name are names of types, so that the section needs no writer of its own. */
const NAMES = ['xdp', 'prog.c', 'return 1;', '0:1', 'tc'];
const TYPES = [INT, proto(1), func('main', 2), ...NAMES.map((name) => struct(name, 0))];

const btfIn = (endian: Endian): Btf => Btf.parse(encodeBtf(TYPES, { endian }));

interface Info {
  readonly recordSize: number;
  readonly sections: readonly { readonly name: string; readonly records: readonly (readonly number[])[] }[];
}

/** Words of one info section; record words past the known ones are filled with 0xffffffff. */
function infoWords(info: Info, offsetOf: (name: string) => number): number[] {
  const pad = (record: readonly number[]): number[] =>
    Array.from({ length: info.recordSize / 4 }, (_, i) => record[i] ?? 0xffffffff);
  return [
    info.recordSize,
    ...info.sections.flatMap(({ name, records }) => [
      offsetOf(name),
      records.length,
      ...records.flatMap(pad),
    ]),
  ];
}

function build(btf: Btf, infos: readonly (Info | undefined)[], headerSize = 32): Uint8Array {
  const offsetOf = (name: string): number => btf.word(btf.findByName(name)!, 0);
  const bodies = infos.map((info) => (info === undefined ? [] : infoWords(info, offsetOf)));
  const fields: number[] = [];
  let at = 0;
  for (const body of bodies) {
    fields.push(at, body.length * 4);
    at += body.length * 4;
  }
  const words = [...fields, ...bodies.flat()];
  const bytes = new Uint8Array(8 + words.length * 4);
  const view = new DataView(bytes.buffer);
  const little = btf.endian === 'little';
  view.setUint16(0, 0xeb9f, little);
  view.setUint8(2, 1);
  view.setUint32(4, headerSize, little);
  for (const [i, word] of words.entries()) view.setUint32(8 + 4 * i, word, little);
  return bytes;
}

function infosFor(btf: Btf, extra = 0): Info[] {
  const text = (name: string): number => btf.word(btf.findByName(name)!, 0);
  return [
    { recordSize: 8 + extra, sections: [{ name: 'xdp', records: [[0, 3]] }] },
    {
      recordSize: 16 + extra,
      sections: [
        { name: 'xdp', records: [[8, text('prog.c'), text('return 1;'), (12 << 10) | 5]] },
        { name: 'tc', records: [[0, text('prog.c'), 0, (4194303 << 10) | 1023]] },
      ],
    },
    { recordSize: 16 + extra, sections: [{ name: 'tc', records: [[16, 4, text('0:1'), 12]] }] },
  ];
}

describe.each(['little', 'big'] as const)('%s-endian .BTF.ext', (endian) => {
  const btf = btfIn(endian);

  it.each([0, 4, 16])('reads records that are %i bytes longer than known', (extra) => {
    const ext = BtfExt.parse(build(btf, infosFor(btf, extra)), btf);
    expect(ext.funcInfo).toEqual(new Map([['xdp', [{ insnOff: 0, typeId: 3 }]]]));
    expect(ext.lineInfo).toEqual(
      new Map([
        ['xdp', [{ insnOff: 8, file: 'prog.c', text: 'return 1;', line: 12, column: 5 }]],
        ['tc', [{ insnOff: 0, file: 'prog.c', text: '', line: 4194303, column: 1023 }]],
      ]),
    );
    expect(ext.coreRelos).toEqual(
      new Map([['tc', [{ insnOff: 16, typeId: 4, accessStr: '0:1', kind: 'type_matches' }]]]),
    );
  });

  it('joins what is said of one section in two places', () => {
    const twice = { recordSize: 8, sections: [{ name: 'xdp', records: [[0, 3]] }] };
    const infos = [{ ...twice, sections: [...twice.sections, { name: 'xdp', records: [[8, 3]] }] }];
    const ext = BtfExt.parse(build(btf, [...infos, undefined, undefined]), btf);
    expect(ext.funcInfo.get('xdp')).toEqual([
      { insnOff: 0, typeId: 3 },
      { insnOff: 8, typeId: 3 },
    ]);
  });

  it('reads a header from before CO-RE', () => {
    const infos = infosFor(btf).slice(0, 2);
    const ext = BtfExt.parse(build(btf, infos, 24), btf);
    expect([ext.lineInfo.size, ext.coreRelos.size]).toEqual([2, 0]);
  });
});

describe('malformed .BTF.ext', () => {
  const btf = btfIn('little');
  const good = build(btf, infosFor(btf));
  const patched = (...words: readonly (readonly [offset: number, value: number])[]): Uint8Array => {
    const bytes = good.slice();
    const view = new DataView(bytes.buffer);
    for (const [offset, value] of words) view.setUint32(offset, value, true);
    return bytes;
  };
  const FUNC_INFO = 32;
  const CORE = FUNC_INFO + 20 + 52;

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), 'no header with magic 0xeb9f'],
    ['the other byte order', build(btfIn('big'), []), 'header is big-endian, expected little-endian'],
    ['version 2', patched([0, 0x0002eb9f]), 'version 2 is not supported'],
    ['flags', patched([0, 0x0101eb9f]), 'flags 1 are not supported'],
    ['a short header', patched([4, 16]), 'header length 16 is too short'],
    ['a header and no more', good.subarray(0, 32), 'there is nothing behind the header'],
    ['an odd offset', patched([8, 1]), 'func_info is not aligned to 4 bytes'],
    ['a length past the end', patched([12, 4000]), 'func_info ends past the section'],
    ['an offset past the end', patched([8, 0xfffffffc]), 'func_info ends past the section'],
    ['no room for a record size', patched([12, 2]), 'func_info holds no record size'],
    ['no records at all', patched([12, 4]), 'func_info has no records'],
    ['a record size of 4', patched([FUNC_INFO, 4]), 'func_info has invalid record size 4'],
    ['a record size of 10', patched([FUNC_INFO, 10]), 'func_info has invalid record size 10'],
    ['a section with no records', patched([FUNC_INFO + 8, 0]), 'func_info has no records for section xdp'],
    ['more records than fit', patched([FUNC_INFO + 8, 2]), 'func_info of section xdp is cut off'],
    ['absurdly many records', patched([FUNC_INFO + 8, 0xffffffff]), 'func_info of section xdp is cut off'],
    ['a cut section header', patched([12, 8]), 'func_info is cut off in a section header'],
    [
      'a bad name',
      patched([FUNC_INFO + 4, 9999]),
      'func_info names string 9999, which is past the strings of .BTF',
    ],
    ['an unknown relocation', patched([CORE + 24, 13]), 'core_relo has unknown kind 13'],
  ])('%s is refused', (_what, bytes, detail) => {
    let caught: unknown;
    try {
      BtfExt.parse(bytes, btf, { file: 'a.o' });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(BtfError);
    expect(caught).toMatchObject({ code: 'BTF_EXT', detail, place: { file: 'a.o', section: '.BTF.ext' } });
  });
});
