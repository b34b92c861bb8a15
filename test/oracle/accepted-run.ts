/**
 * What Linux accepted, run in our engine with memory checks on: it may not fault, and where Linux has a test run the
 * results have to be equal.
 */
import type { AttachType } from '../../src/abi/attach-types.js';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import { type ProgType, progTypeByName } from '../../src/abi/prog-types.js';
import { BpflabError } from '../../src/errors.js';
import { decodeInsns } from '../../src/isa/index.js';
import type { BpfMap } from '../../src/kernel/bpf/map.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { ProgramFaultError, UnsupportedError } from '../../src/kernel/errors.js';
import { Kernel } from '../../src/kernel/kernel.js';
import type { LoadableProgram } from '../../src/object/types.js';
import { requestFromJson } from '../../src/verifier/raw-request.js';
import type { KernelRun } from './lib/kernel-pipe.js';
import { decodeSlots, encodeSlots, type Slot } from './random/builder.js';
import type { MapSpec } from './random/gen.js';
import type { RandomRequest } from './random/program.js';
import { btfOf } from './verdicts-judge.js';

export interface RunInput {
  readonly data_in?: string;
  readonly ctx_in?: string;
}

const ETH_IPV4 = 'ffffffffffff0011223344550800';
const ipv4 = (payload: number): string =>
  `${ETH_IPV4}4500${(20 + payload).toString(16).padStart(4, '0')}000040004011000a7f0000017f000001` +
  Array.from({ length: payload }, (_, i) => ((i * 29 + 7) & 255).toString(16).padStart(2, '0')).join('');

const words = (at: Readonly<Record<number, number>>, size: number): string => {
  const bytes = Buffer.alloc(size);
  for (const [off, value] of Object.entries(at)) bytes.writeUInt32LE(value >>> 0, Number(off));
  return bytes.toString('hex');
};
const SKB_CONTEXT = words(
  { 8: 0xdeadbeef, 32: 7, 48: 0x80000001, 52: 0xffffffff, 56: 3, 60: 0x7fffffff, 64: 1 },
  192,
);
const ARGUMENTS = Buffer.from(
  new BigUint64Array([5n, 0xffff_ffff_ffff_fff0n, 0x8000_0000n, 0x1_0000_0003n, 0n]).buffer,
).toString('hex');

const PACKETS: readonly RunInput[] = [{ data_in: ipv4(46) }, { data_in: ipv4(3) }];

/** Test runs for programs of a type; empty where Linux has none. */
export function inputsFor(type: RandomRequest['prog_type']): readonly RunInput[] {
  if (type === 'xdp') return PACKETS;
  if (type === 'raw_tracepoint') return [{ ctx_in: ARGUMENTS }];
  if (type === 'socket_filter' || type === 'sched_cls' || type === 'cgroup_skb') {
    return [...PACKETS, { data_in: ipv4(46), ctx_in: SKB_CONTEXT }];
  }
  return [];
}

export type RunVerdict =
  | {
      readonly kind: 'equal' | 'not compared' | 'unsupported' | 'too long' | 'depends on addresses';
    }
  | { readonly kind: 'fault' | 'differs'; readonly what: string };

interface OurRun {
  readonly retval: number;
  readonly data: string;
}

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

function createMap(kernel: Kernel, spec: MapSpec): BpfMap {
  const map = kernel.bpf.mapCreate({
    name: spec.name,
    type: MapType[spec.type as MapTypeName],
    keySize: spec.key_size,
    valueSize: spec.value_size,
    maxEntries: spec.max_entries,
    mapFlags: spec.map_flags,
    mapExtra: 0n,
  });
  const data = bytes(spec.data ?? '');
  for (let index = 0; index * spec.value_size < data.length; index++) {
    const value = data.subarray(index * spec.value_size, (index + 1) * spec.value_size);
    kernel.bpf.mapUpdate(map, new Uint8Array(new Uint32Array([index]).buffer), value);
  }
  if (spec.frozen === true) kernel.bpf.mapFreeze(map);
  return map;
}

function loadable(request: RandomRequest): LoadableProgram {
  return {
    name: 'random',
    section: request.prog_type,
    type: progTypeByName(request.prog_type) as ProgType,
    expectedAttachType: request.expected_attach_type as AttachType,
    progFlags: 0,
    autoload: true,
    insns: decodeInsns(bytes(request.insns)),
    subProgs: [],
    funcInfo: [],
    lineInfo: [],
  };
}

/** Programs that one simulated kernel runs before it makes room for another: making one costs milliseconds. */
const PROGRAMS_A_KERNEL = 200;
let shared: Kernel | undefined;
let uses = 0;

function sharedKernel(): Kernel {
  if (shared === undefined || uses++ % PROGRAMS_A_KERNEL === 0) shared = new Kernel({ checked: true });
  return shared;
}

/** Linux ends a `may_goto` loop after 8 million rounds or a quarter of a second. */
const FUEL = 20_000_000;
const OUT_OF_FUEL = 'FAULT_OUT_OF_FUEL';

/** `shift` moves everything in memory, to tell results that depend on addresses. */
function runOurs(request: RandomRequest, inputs: readonly RunInput[], shift: number): OurRun[] {
  const kernel = shift > 0 ? new Kernel({ checked: true }) : sharedKernel();
  if (shift > 0) kernel.memory.alloc(shift, 'none');
  const maps = request.maps.map((spec) => createMap(kernel, spec));
  const prog = kernel.bpf.progLoad(loadable(request), maps, { request: requestFromJson(request, btfOf) });
  return inputs.map(({ data_in, ctx_in }) => {
    const { retval, dataOut } = testRun(kernel, prog, {
      fuel: FUEL,
      ...(data_in !== undefined && { dataIn: bytes(data_in) }),
      ...(ctx_in !== undefined && { ctxIn: bytes(ctx_in) }),
    });
    return { retval, data: Buffer.from(dataOut ?? []).toString('hex') };
  });
}

function firstDifference(ours: readonly OurRun[], theirs: readonly KernelRun[]): string | undefined {
  for (const [i, mine] of ours.entries()) {
    const run = theirs[i];
    if (run === undefined) return undefined;
    if (run.errno !== 0) return `run ${i}: Linux answers errno ${run.errno}, ours returns ${mine.retval}`;
    if (run.retval !== mine.retval) return `run ${i}: Linux returns ${run.retval}, ours ${mine.retval}`;
    if ((run.data_out ?? '') !== mine.data)
      return `run ${i}: Linux leaves ${run.data_out}, ours ${mine.data}`;
  }
  return undefined;
}

/** `theirs`: the kernel's answers to the inputs. `pure`: the results can be compared. */
export function runAccepted(request: RandomRequest, theirs: readonly KernelRun[], pure: boolean): RunVerdict {
  const inputs = inputsFor(request.prog_type);
  try {
    const ours = runOurs(request, inputs.length > 0 ? inputs : [{}], 0);
    if (!pure || theirs.length === 0) return { kind: 'not compared' };
    const what = firstDifference(ours, theirs);
    if (what === undefined) return { kind: 'equal' };
    const moved = runOurs(request, inputs, 0x3318);
    const depends = moved.some((run, i) => run.retval !== ours[i]!.retval || run.data !== ours[i]!.data);
    return depends ? { kind: 'depends on addresses' } : { kind: 'differs', what };
  } catch (error) {
    if (error instanceof UnsupportedError) return { kind: 'unsupported' };
    if (error instanceof ProgramFaultError && error.code === OUT_OF_FUEL) return { kind: 'too long' };
    if (error instanceof ProgramFaultError) return { kind: 'fault', what: error.message };
    if (error instanceof BpflabError) return { kind: 'fault', what: `not run: ${error.message}` };
    throw error;
  }
}

/** Bytes below r10 that `zeroed` writes: as far as the generator's functions go. */
const DEEPEST = 208;

/**
 * The same program with its stack zeroed before. A privileged program may read what it has not written, and then finds what the last
 * user of that stack left.
 */
export function zeroed(request: RandomRequest): RandomRequest {
  const zeros: Slot[] = [];
  for (let off = -DEEPEST; off < 0; off += 8) zeros.push({ code: 0x7a, dst: 10, src: 0, off, imm: 0 });
  const info = Buffer.from(request.func_info ?? '', 'hex');
  for (let at = 8; at < info.length; at += 8) info.writeUInt32LE(info.readUInt32LE(at) + zeros.length, at);
  const insns = encodeSlots([...zeros, ...decodeSlots(request.insns)]);
  return { ...request, insns, ...(info.length > 0 && { func_info: info.toString('hex') }) };
}
