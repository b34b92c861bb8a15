/**
 * Helpers and kernel functions, by result: every program of `helper-cases.ts` and `kfunc-cases.ts` is test-run by the kernel
 * and by ours, and has to give the same value and leave the same packet. Needs bpf(2) and the reference tools.
 *
 *   npx tsx test/oracle/helper-runs.ts [WORD]        only cases whose name holds a word
 */
import { readFileSync } from 'node:fs';
import { helperId } from '../../src/abi/helpers.js';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import { type ProgType, progTypeByName } from '../../src/abi/prog-types.js';
import { BpflabError } from '../../src/errors.js';
import { assemble, encodeInsns } from '../../src/isa/index.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { Btf } from '../../src/object/btf/index.js';
import { type HelperCase, helperCases } from './helper-cases.js';
import { kfuncCases } from './kfunc-cases.js';
import { ask, kernelRefusal } from './lib/kernel.js';
import type { MapSpec } from './random/gen.js';

const VMLINUX = '/sys/kernel/btf/vmlinux';
const SHOWN = 60;
/** Arguments of raw tracepoints. */
const RAW_ARGUMENTS = '00'.repeat(64);
/** Making a kernel costs milliseconds. */
const CASES_A_KERNEL = 100;

interface Outcome {
  readonly retval?: number;
  readonly data?: string;
  readonly refused?: string;
}

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

function ours(kernel: Kernel, one: HelperCase): Outcome {
  try {
    const maps = (one.maps ?? []).map((spec) => createMap(kernel, spec));
    const prog = kernel.bpf.progLoad(
      {
        name: 'case',
        section: one.type,
        type: progTypeByName(one.type) as ProgType,
        expectedAttachType: 0 as never,
        progFlags: one.type === 'syscall' ? 16 : 0,
        autoload: true,
        insns: assemble(one.asm, { helperId }),
        subProgs: [],
        funcInfo: [],
        lineInfo: [],
      },
      maps,
    );
    const { retval, dataOut } = testRun(kernel, prog, {
      ...(one.data !== undefined && one.data !== '' && { dataIn: bytes(one.data) }),
      ...(one.type === 'raw_tracepoint' && { ctxIn: bytes(RAW_ARGUMENTS) }),
    });
    return { retval, data: Buffer.from(dataOut ?? []).toString('hex') };
  } catch (error) {
    if (error instanceof BpflabError) return { refused: error.message };
    throw error;
  }
}

function createMap(kernel: Kernel, spec: MapSpec) {
  const map = kernel.bpf.mapCreate({
    name: spec.name,
    type: MapType[spec.type as MapTypeName],
    keySize: spec.key_size,
    valueSize: spec.value_size,
    maxEntries: spec.max_entries,
    mapFlags: spec.map_flags,
    mapExtra: 0n,
  });
  if (spec.data !== undefined) kernel.bpf.mapUpdate(map, new Uint8Array(4), bytes(spec.data));
  if (spec.frozen === true) kernel.bpf.mapFreeze(map);
  return map;
}

function requestOf(one: HelperCase): object {
  return {
    prog_type: one.type,
    insns: Buffer.from(encodeInsns(assemble(one.asm, { helperId }))).toString('hex'),
    maps: one.maps ?? [],
    license: 'GPL',
    ...(one.type === 'syscall' && { prog_flags: 16 }),
    runs: [
      {
        ...(one.data !== undefined && one.data !== '' && { data_in: one.data }),
        ...(one.type === 'raw_tracepoint' && { ctx_in: RAW_ARGUMENTS }),
        ...(one.type === 'syscall' && { repeat: 0 }),
      },
    ],
  };
}

function main(): void {
  const refused = kernelRefusal();
  if (refused !== undefined) {
    console.log(`skipped: running against the kernel: ${refused}`);
    return;
  }
  const btf = Btf.parse(new Uint8Array(readFileSync(VMLINUX)));
  const word = process.argv[2] ?? '';
  const all = [...helperCases(), ...kfuncCases(btf)].filter(({ name }) => name.includes(word));
  const answers = ask(all.map(requestOf));
  let equal = 0;
  let unloaded = 0;
  let ran = 0;
  let kernel = new Kernel({ btf });
  const differ: string[] = [];
  all.forEach((one, i) => {
    const answer = answers[i];
    const run = answer?.runs?.[0] as { errno: number; retval?: number; data_out?: string } | undefined;
    if (answer?.verdict !== 'accept') {
      unloaded++;
      if (word !== '') console.log(`${one.name}: Linux does not load it: ${answer?.log ?? answer?.verdict}`);
      return;
    }
    if (ran++ % CASES_A_KERNEL === 0) kernel = new Kernel({ btf });
    const mine = ours(kernel, one);
    const theirs = run?.errno === 0 ? run : undefined;
    const same =
      theirs !== undefined &&
      mine.retval === theirs.retval &&
      (one.type === 'syscall' || one.type === 'raw_tracepoint' || mine.data === (theirs.data_out ?? ''));
    if (same) equal++;
    else
      differ.push(
        `${one.name} (${one.type}): Linux ${theirs === undefined ? `errno ${run?.errno}` : `${theirs.retval} ${theirs.data_out}`}, ours ${mine.refused ?? `${mine.retval} ${mine.data}`}`,
      );
  });
  for (const line of differ.slice(0, SHOWN)) console.log(line);
  console.log(
    `helper-runs: ${all.length} programs: ${equal} equal, ${differ.length} differ, ${unloaded} that Linux does not load`,
  );
  if (differ.length > 0) process.exitCode = 1;
}

main();
