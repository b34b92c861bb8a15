/**
 * Test runs against what Linux 6.18.44 (x86-64) gave for the same program, maps, packet and context: helpers with their errors,
 * packet geometry, context rules. A row of `data/test-runs.jsonl` is a run; the programs are in assembly.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { helperId } from '../../src/abi/helpers.js';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import { ProgType, type ProgTypeName } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/index.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { SyscallError } from '../../src/kernel/errors.js';
import { Kernel } from '../../src/kernel/kernel.js';

interface Row {
  readonly name: string;
  readonly type: ProgTypeName;
  readonly asm: readonly string[];
  readonly maps?: readonly {
    readonly type: MapTypeName;
    readonly keySize: number;
    readonly valueSize: number;
    readonly maxEntries: number;
    readonly mapFlags?: number;
    readonly data?: string;
    readonly frozen?: boolean;
  }[];
  /** Hex; the packet below where nothing is said. */
  readonly dataIn?: string;
  readonly ctxIn?: string;
  readonly errno: number;
  readonly retval?: number;
  /** Absent when the packet came back as it was. */
  readonly dataOut?: string;
  readonly ctxOut?: string;
}

/** 60 bytes: Ethernet, IPv4, the start of a UDP datagram. */
const PACKET = '02000000000202000000000108004500002e0000400040117e3dc000020ac63364359c400035001a9295'.padEnd(
  120,
  '0',
);

/** Where this kernel differs, and why. */
const DIVERGENCES: Readonly<Record<string, string>> = {
  'xdp_md: short context': 'the recording had no room for the whole context afterwards; here there always is',
};

const ROWS = readFileSync(new URL('data/test-runs.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Row);

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array | undefined) => Buffer.from(data ?? []).toString('hex');

function makeMaps(kernel: Kernel, row: Row): BpfMap[] {
  return (row.maps ?? []).map(({ type, data, frozen, mapFlags = 0, ...sizes }, i) => {
    const map = kernel.bpf.mapCreate({
      name: `m${i}`,
      type: MapType[type],
      ...sizes,
      mapFlags,
      mapExtra: 0n,
    });
    if (data !== undefined) kernel.bpf.mapUpdate(map, new Uint8Array(4), bytes(data));
    if (frozen) kernel.bpf.mapFreeze(map);
    return map;
  });
}

function run(row: Row): Partial<Row> {
  const kernel = new Kernel();
  const maps = makeMaps(kernel, row);
  const insns = assemble(row.asm.join('\n'), { helperId });
  const source = { name: 'prog', section: '', type: ProgType[row.type], expectedAttachType: 0 as const };
  const nothing = { subProgs: [], funcInfo: [], lineInfo: [], progFlags: 0, autoload: true };
  const prog = kernel.bpf.progLoad({ ...source, ...nothing, insns }, maps);
  const packet = row.dataIn ?? (row.type === 'raw_tracepoint' ? '' : PACKET);
  try {
    const result = testRun(kernel, prog, {
      ...(packet === '' ? {} : { dataIn: bytes(packet) }),
      ...(row.ctxIn === undefined ? {} : { ctxIn: bytes(row.ctxIn) }),
    });
    const dataOut = hex(result.dataOut);
    return {
      errno: 0,
      retval: result.retval,
      ...(packet !== '' && dataOut !== packet ? { dataOut } : {}),
      ...(row.ctxOut === undefined ? {} : { ctxOut: hex(result.ctxOut) }),
    };
  } catch (error) {
    if (error instanceof SyscallError) return { errno: error.errno };
    throw error;
  }
}

function expected({ errno, retval, dataOut, ctxOut }: Row): Partial<Row> {
  return {
    errno,
    ...(retval === undefined ? {} : { retval }),
    ...(dataOut === undefined ? {} : { dataOut }),
    ...(ctxOut === undefined ? {} : { ctxOut }),
  };
}

describe('test runs answer as Linux does', () => {
  test.each(
    ROWS.filter(({ name }) => DIVERGENCES[name] === undefined).map((row) => [row.name, row] as const),
  )('%s', (_, row) => {
    expect(run(row)).toEqual(expected(row));
  });

  test('listed divergences still diverge', () => {
    const agreeing = ROWS.filter(({ name }) => DIVERGENCES[name] !== undefined).filter(
      (row) => JSON.stringify(run(row)) === JSON.stringify(expected(row)),
    );
    expect(agreeing.map(({ name }) => name)).toEqual([]);
  });
});
