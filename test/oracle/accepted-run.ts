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
import { ProgramFaultError, SyscallError, UnsupportedError } from '../../src/kernel/errors.js';
import { Kernel } from '../../src/kernel/kernel.js';
import type { LoadableProgram } from '../../src/object/types.js';
import { requestFromJson } from '../../src/verifier/raw-request.js';
import type { Access, EngineMemory, Region } from '../../src/vm/index.js';
import type { KernelRun } from './lib/kernel-pipe.js';
import { vmlinux } from './lib/vmlinux.js';
import { CALL, decodeSlots, EXIT, encodeSlots, LD_IMM64, type Slot } from './random/builder.js';
import type { MapSpec } from './random/gen.js';
import type { RandomRequest } from './random/program.js';
import { btfOf, kernelPolicy } from './verdicts-judge.js';

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

const SYSCALL_CONTEXT = words({ 0: 5, 4: 0xfffffff0, 8: 0x80000000, 20: 3, 60: 0x7fffffff }, 64);

const PACKETS: readonly RunInput[] = [{ data_in: ipv4(46) }, { data_in: ipv4(3) }];

/** Test runs for programs of a type; empty where Linux has none. */
export function inputsFor(type: RandomRequest['prog_type']): readonly RunInput[] {
  if (type === 'xdp') return PACKETS;
  if (type === 'raw_tracepoint') return [{ ctx_in: ARGUMENTS }];
  if (type === 'syscall') return [{ ctx_in: SYSCALL_CONTEXT }];
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
  /** 0, or why the input was refused. */
  readonly errno: number;
  readonly retval: number;
  readonly data: string;
}

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

function createMap(kernel: Kernel, spec: MapSpec, inner: BpfMap | undefined): BpfMap {
  const map = kernel.bpf.mapCreate({
    name: spec.name,
    type: MapType[spec.type as MapTypeName],
    keySize: spec.key_size,
    valueSize: spec.value_size,
    maxEntries: spec.max_entries,
    mapFlags: spec.map_flags,
    mapExtra: 0n,
    ...(inner !== undefined && { inner }),
    ...(spec.btf !== undefined && {
      btf: btfOf(spec.btf),
      btfKeyTypeId: spec.btf_key_type_id ?? 0,
      btfValueTypeId: spec.btf_value_type_id ?? 0,
    }),
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
    progFlags: request.prog_flags ?? 0,
    autoload: true,
    insns: decodeInsns(bytes(request.insns)),
    subProgs: [],
    funcInfo: [],
    lineInfo: [],
  };
}

function newKernel(): Kernel {
  const btf = vmlinux();
  return new Kernel({ checked: true, ...(btf !== undefined && { btf }) });
}

/** Programs that one simulated kernel runs before it makes room for another: making one costs milliseconds. */
const PROGRAMS_A_KERNEL = 200;
let shared: Kernel | undefined;
let uses = 0;

function sharedKernel(): Kernel {
  if (shared === undefined || uses++ % PROGRAMS_A_KERNEL === 0) shared = newKernel();
  return shared;
}

/** Linux ends a `may_goto` loop after 8 million rounds or a quarter of a second. */
const FUEL = 20_000_000;
const OUT_OF_FUEL = 'FAULT_OUT_OF_FUEL';

/** Bytes by which everything is moved: each low byte that an alignment to 8 leaves, and higher bits. */
const MOVES: readonly number[] = Array.from({ length: 32 }, (_, i) => (i + 1) * 0x1_3108);

/** Linux aligns most memory to 8 bytes, our engine to 16, pages of packets more: what is allocated from now on lies `by` bytes on. */
function displace(memory: EngineMemory, by: number): void {
  const alloc = memory.alloc.bind(memory);
  const free = memory.free.bind(memory);
  const wholes = new Map<Region, Region>();
  Object.assign(memory, {
    alloc(size: number, access: Access = 'readwrite'): Region {
      const whole = alloc(size + by, 'none');
      const address32 = whole.address32 + by;
      const region: Region = {
        address: whole.address + BigInt(by),
        address32,
        size,
        get bytes() {
          return memory.u8.subarray(address32, address32 + size);
        },
      };
      memory.protect(address32, size, access);
      wholes.set(region, whole);
      return region;
    },
    free: (region: Region): void => free(wholes.get(region) ?? region),
  });
}

/** A kernel in which everything is elsewhere, to tell results that depend on addresses. */
function movedKernel(by: number): Kernel {
  const kernel = newKernel();
  kernel.memory.alloc(by, 'none');
  displace(kernel.memory, by & 0xff);
  return kernel;
}

function runOurs(request: RandomRequest, inputs: readonly RunInput[], kernel: Kernel): OurRun[] {
  const maps: BpfMap[] = [];
  for (const spec of request.maps) {
    maps.push(createMap(kernel, spec, spec.inner === undefined ? undefined : maps[spec.inner]));
  }
  const prog = kernel.bpf.progLoad(loadable(request), maps, {
    request: requestFromJson(request, btfOf, kernelPolicy()),
  });
  return inputs.map(({ data_in, ctx_in }) => {
    try {
      const { retval, dataOut } = testRun(kernel, prog, {
        fuel: FUEL,
        ...(data_in !== undefined && { dataIn: bytes(data_in) }),
        ...(ctx_in !== undefined && { ctxIn: bytes(ctx_in) }),
      });
      return { errno: 0, retval, data: Buffer.from(dataOut ?? []).toString('hex') };
    } catch (error) {
      if (error instanceof SyscallError) return { errno: error.errno, retval: 0, data: '' };
      throw error;
    }
  });
}

function firstDifference(ours: readonly OurRun[], theirs: readonly KernelRun[]): string | undefined {
  for (const [i, mine] of ours.entries()) {
    const run = theirs[i];
    if (run === undefined) return undefined;
    if (run.errno !== mine.errno)
      return `run ${i}: Linux answers errno ${run.errno}, ours ${mine.errno} and ${mine.retval}`;
    if (run.errno !== 0) continue;
    if (run.retval !== mine.retval) return `run ${i}: Linux returns ${run.retval}, ours ${mine.retval}`;
    if ((run.data_out ?? '') !== mine.data)
      return `run ${i}: Linux leaves ${run.data_out}, ours ${mine.data}`;
  }
  return undefined;
}

/** Helpers whose results are no function of the program's input: random numbers, time, CPU, task. */
const IMPURE: ReadonlySet<number> = new Set([5, 7, 8, 14, 118, 158]);

const isPure = ({ insns }: RandomRequest): boolean =>
  decodeSlots(insns).every(({ code, src, imm }) => code !== CALL || src !== 0 || !IMPURE.has(imm));

/** Kernel functions that find what happens to be on the running machine. */
const MACHINE_KFUNCS: readonly string[] = ['bpf_task_from_pid', 'bpf_task_from_vpid', 'bpf_cgroup_from_id'];
const PSEUDO_KFUNC = 2;

function asksTheMachine({ insns }: RandomRequest): boolean {
  const ids = MACHINE_KFUNCS.map((name) => vmlinux()?.findByName(name, 'func'));
  return decodeSlots(insns).some(
    ({ code, src, imm }) => code === CALL && src === PSEUDO_KFUNC && ids.includes(imm),
  );
}

const MAY_GOTO = 0xe5;

/**
 * Whether a program could keep the kernel busy for minutes: each entry of a function with a `may_goto` loop may take a quarter
 * of a second, and what calls it may go round, too.
 */
export function mayRunLong({ insns }: RandomRequest): boolean {
  const slots = decodeSlots(insns);
  const calls = slots.some(
    (slot, at) => calleeOf(slot, at) !== undefined || (slot.code === CALL && slot.src !== 0),
  );
  return calls && slots.some(({ code }) => code === MAY_GOTO);
}

/** `theirs`: the kernel's answers to the inputs. */
export function runAccepted(request: RandomRequest, theirs: readonly KernelRun[]): RunVerdict {
  const inputs = inputsFor(request.prog_type);
  try {
    const ours = runOurs(request, inputs.length > 0 ? inputs : [{}], sharedKernel());
    const refused = inputs.length === 0 ? ours.find(({ errno }) => errno !== 0) : undefined;
    if (refused !== undefined) return { kind: 'fault', what: `not run: errno ${refused.errno}` };
    if (theirs.length === 0 || !isPure(request)) return { kind: 'not compared' };
    const what = firstDifference(ours, theirs);
    if (what === undefined) return { kind: 'equal' };
    if (asksTheMachine(request)) return { kind: 'not compared' };
    const depends = MOVES.some((by) =>
      runOurs(request, inputs, movedKernel(by)).some(
        (run, i) => run.retval !== ours[i]!.retval || run.data !== ours[i]!.data,
      ),
    );
    return depends ? { kind: 'depends on addresses' } : { kind: 'differs', what };
  } catch (error) {
    if (error instanceof UnsupportedError) return { kind: 'unsupported' };
    if (error instanceof ProgramFaultError && error.code === OUT_OF_FUEL) return { kind: 'too long' };
    if (error instanceof ProgramFaultError) return { kind: 'fault', what: error.message };
    if (error instanceof BpflabError) return { kind: 'fault', what: `not run: ${error.message}` };
    throw error;
  }
}

const PSEUDO_CALL = 1;
const PSEUDO_FUNC = 4;

/** Where a call goes, or whose address a load takes. */
function calleeOf({ code, src, imm }: Slot, at: number): number | undefined {
  const isCallee = code === CALL ? src === PSEUDO_CALL : code === LD_IMM64 && src === PSEUDO_FUNC;
  return isCallee ? at + 1 + imm : undefined;
}

/** Copies of the slots with `inserted(start)` before each of `starts`: calls lead to what is new, jumps past it. */
function insertAt(
  slots: readonly Slot[],
  starts: ReadonlyMap<number, readonly Slot[]>,
): { slots: Slot[]; moved: (at: number) => number } {
  const size = (before: number): number =>
    [...starts].reduce((sum, [start, added]) => (start < before ? sum + added.length : sum), 0);
  const moved = (at: number): number => at + size(at);
  const out = slots.flatMap((slot, at): Slot[] => {
    const from = at + size(at + 1);
    const added = starts.get(at) ?? [];
    const callee = calleeOf(slot, at);
    const { code, off, imm } = slot;
    const cls = code & 7;
    if (callee !== undefined) return [...added, { ...slot, imm: moved(callee) - from - 1 }];
    if ((cls !== 5 && cls !== 6) || code === CALL || code === EXIT) return [...added, slot];
    // as the target's own instruction: past what stands before it
    const to = (distance: number): number => at + 1 + distance + size(at + 2 + distance) - from - 1;
    return [...added, code === 0x06 ? { ...slot, imm: to(imm) } : { ...slot, off: to(off) }];
  });
  return { slots: out, moved };
}

/**
 * The same program with the stack of each of its functions filled first, with zeros or with something else. A privileged program may
 * read what it has not written, and then finds what the last user of that stack left. `depths`: bytes that each function
 * uses, as the verifier tells them (`16+32`).
 */
export function filled(request: RandomRequest, depths: string, value = 0): RandomRequest {
  const slots = decodeSlots(request.insns);
  const callees = slots.flatMap((slot, at) => calleeOf(slot, at) ?? []);
  const starts = [...new Set([0, ...callees])].sort((a, b) => a - b);
  const known = depths.split('+').map(Number);
  // last comes what Linux adds to a program that throws: its own handler, which uses no stack
  if (known.length === starts.length + 1 && known.at(-1) === 0) known.pop();
  // functions that went away as dead code leave no depth: then the largest for all
  const bytes = known.length === starts.length ? known : starts.map(() => Math.max(...known));
  const fill = (depth: number): Slot[] =>
    Array.from({ length: Math.ceil(depth / 8) }, (_, i) => ({
      code: 0x7a,
      dst: 10,
      src: 0,
      off: -8 * (i + 1),
      imm: value,
    }));
  const result = insertAt(slots, new Map(starts.map((start, i) => [start, fill(bytes[i]!)])));
  const info = Buffer.from(request.func_info ?? '', 'hex');
  for (let at = 0; at < info.length; at += 8) info.writeUInt32LE(result.moved(info.readUInt32LE(at)), at);
  const insns = encodeSlots(result.slots);
  return { ...request, insns, ...(info.length > 0 && { func_info: info.toString('hex') }) };
}
