/**
 * What a program needs that a release does not have: types, helpers, instructions. Facts from
 * src/abi/verifier-since.ts; where a release looks at an instruction only when some path comes by, so does this.
 */
import { attachTypeName } from '../abi/attach-types.js';
import { helperById } from '../abi/helpers.js';
import { mapTypeName } from '../abi/map-types.js';
import { ProgFlag } from '../abi/prog-flags.js';
import { ProgType, progTypeName } from '../abi/prog-types.js';
import {
  attachTypeSince,
  compareVersions,
  FEATURE_SINCE,
  helperSince,
  type KernelVersion,
  type LoaderFeature,
  mapTypeSince,
  progTypeSince,
} from '../abi/verifier-since.js';
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { VerifyMap, VerifyRequest } from './types.js';

/** Something that came with a release. */
export interface Demand {
  readonly what: string;
  /** Undefined: no release up to 6.18 has it. */
  readonly since: KernelVersion | undefined;
  /** Slot that needs it; undefined where the program as a whole does. */
  readonly insn?: number;
  /** The release refuses it wherever it stands; otherwise only where some path comes by. */
  readonly always: boolean;
}

const TEXT: Readonly<Record<LoaderFeature, string>> = {
  jumpLess: 'jumps on less',
  localCalls: 'calls between functions',
  jump32: '32-bit jumps (-mcpu=v3)',
  globalData: 'global data',
  largePrograms: 'programs of more than 4096 instructions',
  boundedLoops: 'loops',
  globalFunctions: 'global functions',
  sleepable: 'sleepable programs',
  kernelSymbols: 'addresses of kernel variables',
  atomics: 'atomic operations other than addition',
  callbacks: 'callbacks',
  kernelFunctions: 'calls of kernel functions',
  mapIndex: 'maps by index',
  cpuV4: 'instructions of -mcpu=v4',
  mayGoto: 'may_goto',
  addressSpaceCast: 'address space casts',
  loadAcquire: 'load-acquire and store-release',
};

const feature = (name: LoaderFeature, insn?: number, always = true): Demand => ({
  what: TEXT[name],
  since: FEATURE_SINCE[name],
  ...(insn !== undefined && { insn }),
  always,
});

/** Programs whose attach type is looked at when they are loaded; with the others it matters when they are attached. */
const ATTACH_CHECKED: ReadonlySet<number> = new Set([
  ProgType.cgroup_skb,
  ProgType.cgroup_sock,
  ProgType.cgroup_sock_addr,
  ProgType.cgroup_sockopt,
  ProgType.sk_lookup,
  ProgType.netfilter,
  ProgType.tracing,
  ProgType.lsm,
]);

const MAX_SMALL_PROGRAM = 4096;

const LD_IMM64_FEATURES: ReadonlyMap<number, LoaderFeature> = new Map([
  [C.BPF_PSEUDO_MAP_VALUE, 'globalData'],
  [C.BPF_PSEUDO_BTF_ID, 'kernelSymbols'],
  [C.BPF_PSEUDO_FUNC, 'callbacks'],
  [C.BPF_PSEUDO_MAP_IDX, 'mapIndex'],
  [C.BPF_PSEUDO_MAP_IDX_VALUE, 'mapIndex'],
] as const);

const ALU_OP = 0xf0;
const MODE = 0xe0;

function jumpDemand(insn: Insn, i: number): Demand | undefined {
  const op = insn.code & ALU_OP;
  if ((insn.code & 0x07) === C.BPF_JMP32) {
    return op === C.BPF_JA ? feature('cpuV4', i) : feature('jump32', i);
  }
  if (op === C.BPF_JCOND) return feature('mayGoto', i);
  if (op !== C.BPF_CALL) return undefined;
  if (insn.src === C.BPF_PSEUDO_KFUNC_CALL) return feature('kernelFunctions', i);
  if (insn.src !== 0) return undefined;
  const name = helperById(insn.imm)?.name;
  return name === undefined
    ? undefined
    : {
        what: `helper bpf_${name}#${insn.imm}`,
        since: helperSince(insn.imm),
        insn: i,
        always: false,
      };
}

function aluDemand(insn: Insn, i: number): Demand | undefined {
  const op = insn.code & ALU_OP;
  const wide = (insn.code & 0x07) === C.BPF_ALU64;
  if (op === C.BPF_END && wide) return feature('cpuV4', i);
  if (insn.off === 0) return undefined;
  if (op === C.BPF_MOV && wide && insn.off === C.BPF_ADDR_SPACE_CAST)
    return feature('addressSpaceCast', i, false);
  return op === C.BPF_MOV || op === C.BPF_DIV || op === C.BPF_MOD ? feature('cpuV4', i, false) : undefined;
}

function insnDemand(insn: Insn, i: number): Demand | undefined {
  switch (insn.code & 0x07) {
    case C.BPF_LD: {
      const name = insn.code === C.LD_IMM64 ? LD_IMM64_FEATURES.get(insn.src) : undefined;
      return name === undefined ? undefined : feature(name, i);
    }
    case C.BPF_LDX:
      return (insn.code & MODE) === C.BPF_MEMSX ? feature('cpuV4', i) : undefined;
    case C.BPF_STX:
      if ((insn.code & MODE) !== C.BPF_ATOMIC || insn.imm === C.BPF_ADD) return undefined;
      return insn.imm === C.BPF_LOAD_ACQ || insn.imm === C.BPF_STORE_REL
        ? feature('loadAcquire', i, false)
        : feature('atomics', i);
    case C.BPF_JMP:
    case C.BPF_JMP32:
      return jumpDemand(insn, i);
    case C.BPF_ALU:
    case C.BPF_ALU64:
      return aluDemand(insn, i);
    default:
      return undefined;
  }
}

const mapDemand = (map: VerifyMap, insn: number): Demand => ({
  what: `map type ${mapTypeName(map.type)}`,
  since: mapTypeSince(map.type),
  insn,
  always: true,
});

/** Maps that the program names, each with the slot that does so first, and their inner maps. */
export function namedMaps({ insns, maps = [] }: VerifyRequest): Map<VerifyMap, number> {
  const named = new Map<VerifyMap, number>();
  for (let i = 0; i < insns.length; i++) {
    const insn = insns[i]!;
    if (insn.code !== C.LD_IMM64) continue;
    const map = isMapLoad(insn) ? maps[insn.imm] : undefined;
    if (map !== undefined && !named.has(map)) named.set(map, i);
    i++;
  }
  return named;
}

function isMapLoad({ src }: Insn): boolean {
  return (
    src === C.BPF_PSEUDO_MAP_FD ||
    src === C.BPF_PSEUDO_MAP_VALUE ||
    src === C.BPF_PSEUDO_MAP_IDX ||
    src === C.BPF_PSEUDO_MAP_IDX_VALUE
  );
}

/** All that the program needs of its kernel, what it needs as a whole first. */
export function demandsOf(request: VerifyRequest): Demand[] {
  const { insns, progType, expectedAttachType = 0, progFlags = 0 } = request;
  const demands: Demand[] = [
    { what: `program type ${progTypeName(progType)}`, since: progTypeSince(progType), always: true },
  ];
  if (ATTACH_CHECKED.has(progType)) {
    demands.push({
      what: `attach type ${attachTypeName(expectedAttachType)}`,
      since: attachTypeSince(expectedAttachType),
      always: true,
    });
  }
  if ((progFlags & ProgFlag.BPF_F_SLEEPABLE) !== 0) demands.push(feature('sleepable'));
  if (insns.length > MAX_SMALL_PROGRAM) demands.push(feature('largePrograms'));
  for (const [map, i] of namedMaps(request)) {
    demands.push(mapDemand(map, i));
    if (map.inner !== undefined) demands.push(mapDemand(map.inner, i));
  }
  for (let i = 0; i < insns.length; i++) {
    const demand = insnDemand(insns[i]!, i);
    if (demand !== undefined) demands.push(demand);
    if (insns[i]!.code === C.LD_IMM64) i++;
  }
  return demands;
}

/** The demands that a release does not meet. */
export function unmet(demands: readonly Demand[], version: KernelVersion): Demand[] {
  return demands.filter(({ since }) => since === undefined || compareVersions(since, version) > 0);
}
