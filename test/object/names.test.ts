/** Numbers and names of program, attach and map types, both ways. */
import { describe, expect, test } from '@jest/globals';
import { AttachType, attachTypeByName, attachTypeName, isAttachType } from '../../src/abi/attach-types.js';
import { isMapType, MapType, mapTypeByName, mapTypeName } from '../../src/abi/map-types.js';
import { isProgType, ProgType, progTypeByName, progTypeName } from '../../src/abi/prog-types.js';

const FAMILIES = [
  {
    what: 'program types',
    all: ProgType,
    last: 32,
    is: isProgType,
    name: progTypeName,
    byName: progTypeByName,
    prefix: 'BPF_PROG_TYPE_',
  },
  {
    what: 'attach types',
    all: AttachType,
    last: 57,
    is: isAttachType,
    name: attachTypeName,
    byName: attachTypeByName,
    prefix: 'BPF_',
  },
  {
    what: 'map types',
    all: MapType,
    last: 33,
    is: isMapType,
    name: mapTypeName,
    byName: mapTypeByName,
    prefix: 'BPF_MAP_TYPE_',
  },
] as const;

describe.each(FAMILIES)('$what of Linux 6.18', ({ all, last, is, name, byName, prefix }) => {
  test('are numbered without gaps', () => {
    expect(Object.values(all)).toEqual(Array.from({ length: last + 1 }, (_, i) => i));
  });

  test('are found by name, in the spelling of libbpf or of the kernel', () => {
    for (const [key, value] of Object.entries(all)) {
      expect(name(value)).toBe(key);
      expect(is(value)).toBe(true);
      expect(byName(key)).toBe(value);
      expect(byName(`${prefix}${key.toUpperCase()}`)).toBe(value);
    }
  });

  test('end where they end', () => {
    expect([is(last + 1), is(-1), is(0.5)]).toEqual([false, false, false]);
    expect(name(999)).toMatch(/_999$/);
    expect([byName('nonsense'), byName('constructor'), byName('')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

test.each([
  [progTypeName(6), 'xdp'],
  [progTypeName(27), 'struct_ops'],
  [attachTypeName(37), 'xdp'],
  [attachTypeName(56), 'trace_kprobe_session'],
  [mapTypeName(27), 'ringbuf'],
  [mapTypeName(33), 'arena'],
])('%s', (name, expected) => {
  expect(name).toBe(expected);
});
