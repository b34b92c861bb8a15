/** What is refused before it runs, and what stops a program: one typed error each, with its place. */
import { describe, expect, test } from '@jest/globals';
import { helperId } from '../../src/abi/helpers.js';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import { ProgType, type ProgTypeName } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/index.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { ProgramFaultError, UnsupportedError } from '../../src/kernel/errors.js';
import { Kernel } from '../../src/kernel/kernel.js';

function load(kernel: Kernel, type: ProgTypeName, asm: string, maps: BpfMap[] = []) {
  const insns = assemble(asm, { helperId });
  const lineInfo = [{ insnOff: 0, file: './prog.bpf.c', text: '', line: 7, column: 1 }];
  const source = { name: 'prog', section: '', type: ProgType[type], expectedAttachType: 0 as const };
  return kernel.bpf.progLoad(
    { ...source, progFlags: 0, autoload: true, insns, subProgs: [], funcInfo: [], lineInfo },
    maps,
  );
}

const makeMap = (
  kernel: Kernel,
  type: MapTypeName,
  sizes: { keySize?: number; valueSize?: number; mapFlags?: number } = {},
) =>
  kernel.bpf.mapCreate({
    name: 'm',
    type: MapType[type],
    keySize: 4,
    valueSize: 8,
    maxEntries: 4,
    mapFlags: 0,
    mapExtra: 0n,
    ...sizes,
  });

describe('refused at load', () => {
  test.each<[string, ProgTypeName, string, string, string]>([
    [
      'a helper that is not there',
      'lwt_seg6local',
      'call bpf_lwt_seg6_action\nexit',
      'UNSUPPORTED_HELPER',
      'helper bpf_lwt_seg6_action#76 is not supported for lwt_seg6local',
    ],
    [
      'a helper of another type',
      'kprobe',
      'call bpf_xdp_adjust_head\nexit',
      'UNSUPPORTED_HELPER',
      'helper bpf_xdp_adjust_head#44 is not for programs of type kprobe',
    ],
    [
      'a helper that no Linux has',
      'xdp',
      'call 999\nexit',
      'UNSUPPORTED_HELPER',
      'helper unknown#999 is no Linux has it',
    ],
    [
      'a kernel function',
      'xdp',
      'call kfunc 7\nexit',
      'UNSUPPORTED_KFUNC',
      'kernel function with BTF id 7 is not supported',
    ],
  ])('%s', (_, type, asm, code, detail) => {
    const attempt = () => load(new Kernel(), type, asm);
    expect(attempt).toThrow(UnsupportedError);
    expect(attempt).toThrow(expect.objectContaining({ code, detail, place: { symbol: 'prog', insn: 0 } }));
  });

  test.each<ProgTypeName>(['struct_ops', 'ext', 'netfilter', 'unspec'])('a run of type %s', (type) => {
    const kernel = new Kernel();
    const prog = load(kernel, type, 'r0 = 0\nexit');
    expect(() => testRun(kernel, prog, {})).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_PROG_TYPE' }),
    );
  });
});

describe('stopped while running', () => {
  const lookup =
    'r1 = 0\n*(u32 *)(r10 - 4) = r1\nr1 = map[fd:0]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n';

  test.each<[string, string, string, number, string]>([
    [
      'a read past a value',
      `${lookup}r1 = *(u64 *)(r0 + 32)\nout:\nr0 = 0\nexit`,
      'FAULT_BAD_ACCESS',
      8,
      'invalid load of 8 bytes',
    ],
    [
      'a null pointer',
      'r1 = 0\nr0 = *(u64 *)(r1 + 0)\nexit',
      'FAULT_BAD_ACCESS',
      1,
      'invalid load of 8 bytes at 0x0',
    ],
    [
      'a packet without a check',
      'r1 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r1 + 64)\nexit',
      'FAULT_BAD_ACCESS',
      1,
      'invalid load of 1 bytes',
    ],
    ['a loop without an end', 'l:\ngoto l', 'FAULT_OUT_OF_FUEL', 0, '1000 instructions'],
    [
      'a map that is none',
      'r1 = 5\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nexit',
      'FAULT_HELPER_FAULT',
      3,
      'r1: 0x5 is not a map',
    ],
    [
      'a key that is nowhere',
      'r1 = map[fd:0]\nr2 = 0\ncall bpf_map_lookup_elem\nexit',
      'FAULT_BAD_ACCESS',
      3,
      'r2: read of 4 bytes at 0x0 is not allowed',
    ],
    [
      'a context that is not its own',
      'r1 = r10\nr2 = 0\ncall bpf_xdp_adjust_head\nexit',
      'FAULT_HELPER_FAULT',
      2,
      'is not the program',
    ],
  ])('%s', (_, asm, code, insn, detail) => {
    const kernel = new Kernel();
    const prog = load(kernel, 'xdp', asm, [makeMap(kernel, 'array')]);
    let error: unknown;
    try {
      testRun(kernel, prog, { dataIn: new Uint8Array(64), fuel: 1000 });
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ProgramFaultError);
    expect(error).toMatchObject({ code, place: { symbol: 'prog', insn } });
    expect((error as ProgramFaultError).detail).toContain(detail);
    expect((error as ProgramFaultError).detail).toContain('(prog.bpf.c:7)');
  });

  test('a program may not change what it may only read', () => {
    const kernel = new Kernel();
    const map = makeMap(kernel, 'array', { mapFlags: 1 << 7 });
    const store = load(kernel, 'xdp', `${lookup}r1 = 1\n*(u64 *)(r0 + 0) = r1\nout:\nr0 = 0\nexit`, [map]);
    expect(() => testRun(kernel, store, { dataIn: new Uint8Array(64) })).toThrow('invalid store of 8 bytes');
    const update = load(
      kernel,
      'xdp',
      `${lookup}r1 = map[fd:0]\nr2 = r10\nr2 += -4\nr3 = r0\nr4 = 0\ncall bpf_map_update_elem\nout:\nr0 = 0\nexit`,
      [map],
    );
    expect(() => testRun(kernel, update, { dataIn: new Uint8Array(64) })).toThrow(
      'map m is read-only for programs',
    );
  });
});

describe('determinism', () => {
  const random = 'call bpf_get_prandom_u32\nexit';
  const numbers = (seed: number) => {
    const kernel = new Kernel({ seed });
    const prog = load(kernel, 'xdp', random);
    return [1, 2, 3].map(() => testRun(kernel, prog, { dataIn: new Uint8Array(14) }).retval);
  };

  test('the same seed gives the same numbers, another one others', () => {
    expect(numbers(5)).toEqual(numbers(5));
    expect(numbers(6)).not.toEqual(numbers(5));
    expect(new Set(numbers(5)).size).toBe(3);
  });

  test('time stands still until something moves it', () => {
    const kernel = new Kernel();
    const prog = load(kernel, 'xdp', 'call bpf_ktime_get_ns\nr6 = r0\ncall bpf_ktime_get_ns\nr0 -= r6\nexit');
    expect(testRun(kernel, prog, { dataIn: new Uint8Array(14) }).r0).toBe(0n);
  });
});
