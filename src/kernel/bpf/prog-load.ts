/**
 * BPF_PROG_LOAD: a program is verified, its context accesses are converted and its dead code is neutralised, every helper
 * and kernel function that is left has to be there, and the engine translates the rest. Models `bpf_prog_load`
 * (kernel/bpf/syscall.c) and the rewriting at the end of `bpf_check` (kernel/bpf/verifier.c) of Linux 6.18.
 */
import { helperById, helperText } from '../../abi/helpers.js';
import { ProgFlag } from '../../abi/prog-flags.js';
import { progTypeName } from '../../abi/prog-types.js';
import {
  BPF_CALL,
  BPF_JMP,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  LD_IMM64,
} from '../../isa/constants.js';
import type { Insn } from '../../isa/insn.js';
import type { Btf } from '../../object/btf/btf.js';
import type { LoadableProgram } from '../../object/types.js';
import {
  FULL_CAPABILITIES,
  FULL_CONFIG,
  fixupAttachType,
  helperVariant,
  type PreallocPolicy,
  type ProgEnv,
} from '../../verifier/env/index.js';
import {
  profileByName,
  profileNames,
  REFERENCE_VERSION,
  type VerifierProfile,
} from '../../verifier/profile.js';
import { type ProfileResult, verifyFor } from '../../verifier/profile-verify.js';
import { baseType, PTR_TO_BTF_ID } from '../../verifier/reg-type.js';
import type { VerifyMap, VerifyRequest, VerifyResult } from '../../verifier/types.js';
import { verify } from '../../verifier/verify.js';
import type { HelperResolver, ImmResolver } from '../../vm/index.js';
import { SyscallError, UnsupportedError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { KernelProfile } from '../profile.js';
import {
  CONVERTED_CALL,
  type Converted,
  convertContextAccesses,
  type ReadMap,
} from './convert/context-access.js';
import { neutraliseDeadCode } from './convert/dead-code.js';
import { ProgArrayMap } from './fd-array.js';
import { helperProbesOf } from './helper-probes.js';
import type { BpfMap } from './map.js';
import type { BpfProg } from './prog.js';
import { ProgText } from './prog-text.js';
import type { Judged, Verdicts } from './verdicts.js';

/** Resolves helpers and kernel functions for a program. */
export type HelperSets = (load: LoadContext) => HelperResolver;

/** What a program brings along beside its instructions. */
export interface ProgLoadOptions {
  /** Type ids in the program's instructions and map values refer to it. */
  readonly btf?: Btf;
  readonly license?: string;
  /** The request for the verifier, where there is more to say than the rest says. */
  readonly request?: VerifyRequest;
  /** What is known of programs from kernels like this one. */
  readonly verdicts?: Verdicts;
}

/** What a resolver may ask about the program that is being loaded. */
export interface LoadContext {
  readonly env: ProgEnv;
  readonly name: string;
  readonly btf?: Btf;
}

/** Loads a program; `id` is its number. Throws as `BpfSyscalls.progLoad` says. */
export function loadProg(
  kernel: Machine,
  helpers: HelperSets,
  source: LoadableProgram,
  maps: readonly BpfMap[],
  options: ProgLoadOptions,
  id: number,
): BpfProg {
  const verdict = judge(kernel, source, maps, options);
  const verified = verdict?.verdict === 'accept';
  const { insns, calls } = verified ? rewrite(kernel, source, verdict) : { insns: source.insns, calls: [] };
  const context: LoadContext = {
    env: runtimeEnv(kernel, source, options),
    name: source.name,
    ...(options.btf !== undefined && { btf: options.btf }),
  };
  const known = helpers(context);
  const resolver: HelperResolver = (kind, imm, off) =>
    kind === 'helper' && imm >= CONVERTED_CALL && imm < CONVERTED_CALL + calls.length
      ? calls[imm - CONVERTED_CALL]
      : known(kind, imm, off);
  requireSupported(kernel, source, insns, context.env, resolver);
  const used = new Set<BpfMap>();
  const probeRead = (slot: number): boolean =>
    verified && baseType(verdict.pointerTypes[slot]!) === PTR_TO_BTF_ID;
  const text = new ProgText(kernel.engine, {
    name: source.name,
    insns,
    resolveImm: immResolver(kernel, source, maps, used),
    helpers: resolver,
    options: { checked: kernel.checked, probeRead },
    functions: new Map(source.subProgs.map(({ name, insnOff }) => [name, insnOff])),
  });
  for (const map of used) if (map instanceof ProgArrayMap) map.ownerType ??= source.type;
  const prog: BpfProg = {
    id,
    name: source.name,
    type: source.type,
    expectedAttachType: source.expectedAttachType,
    progFlags: source.progFlags,
    program: text.current,
    text,
    overrides: text.helpers().has('bpf_override_return'),
    verified,
    ...(verdict?.refusal !== undefined && { refusal: verdict.refusal }),
    maxCtxOffset: verified ? verdict.maxCtxOffset : 0,
    maps: [...used],
    lineInfo: source.lineInfo,
    section: source.section,
    ...(source.attachTarget !== undefined && { attachTarget: source.attachTarget }),
    active: new Int32Array(kernel.cpus),
    stats: { runs: 0, instructions: 0, misses: 0, skipped: 0 },
  };
  helperProbesOf(kernel).loaded(prog);
  return prog;
}

/** What the verifier says; undefined where it is not asked. Throws `SyscallError` for a refusal that counts. */
function judge(
  kernel: Machine,
  source: LoadableProgram,
  maps: readonly BpfMap[],
  options: ProgLoadOptions,
): Judged | undefined {
  if (kernel.verifyMode === 'never') return undefined;
  const enforce = kernel.verifyMode === 'enforce';
  const ask = (): Judged => {
    const request = options.request ?? requestFor(kernel, source, maps, options);
    const result = verifyFor(verifierOf(kernel.profile), request);
    if (result.verdict === 'accept') return { ...result, verdict: result.verdict };
    // What an older kernel would have said is not known of everything: then the reference's word stands.
    if (enforce && result.verdict !== 'unknown') return { ...result, verdict: result.verdict };
    // It runs even so, converted where the reference has nothing against it.
    const reference = verify(request);
    const said = result.verdict !== 'unknown' ? result : { ...reference, profile: REFERENCE_VERSION };
    return { ...reference, warnings: [], ...(said.verdict !== 'accept' && { refusal: refusalOf(said) }) };
  };
  const result = options.verdicts === undefined ? ask() : options.verdicts.of(source, ask);
  if (!enforce) return result;
  if (result.verdict === 'accept') {
    warn(kernel, result);
    return result;
  }
  const place = { symbol: source.name, ...(result.insn !== undefined && { insn: result.insn }) };
  if (result.verdict === 'unsupported') {
    throw new UnsupportedError('UNSUPPORTED_PROGRAM', `the verifier cannot judge: ${result.message}`, place);
  }
  throw SyscallError.ofErrno(result.errno, result.message || 'the program is refused', place);
}

/** Why that kernel's verifier does not let a program pass, in a line. */
function refusalOf({
  profile,
  verdict,
  message,
  insn,
}: Pick<ProfileResult, 'profile' | 'verdict' | 'message' | 'insn'>): string {
  const at = insn === undefined ? '' : ` (insn ${insn})`;
  const what =
    verdict === 'unsupported' ? `cannot judge it: ${message}` : `refuses it: ${message || 'no reason given'}`;
  return `the verifier of ${profile} ${what}${at}`;
}

/** A warning of the simulated kernel's verifier goes to the log. */
function warn(kernel: Machine, { warnings }: Judged): void {
  if (warnings.length === 0) return;
  kernel.sched.console.warnOnce(
    'kernel/bpf/verifier.c check_map_prog_compatibility',
    'trace type BPF program uses run-time allocation',
  );
}

/** What the knob says of maps that allocate at run time, without PREEMPT_RT and with it. */
const PREALLOC: Readonly<
  Record<KernelProfile['preallocRule'], readonly [plain: PreallocPolicy, rt: PreallocPolicy]>
> = { perfOnly: ['perf_event', 'perf_event'], v57: ['warn', 'refuse'], none: ['none', 'none'] };

/** The verifier of the release, with the rules that knobs turn. The series as posted left the verifier as it was. */
function verifierOf({ name, rt, preallocRule, timerBan }: KernelProfile): VerifierProfile {
  const known = profileNames();
  const version = name.replace(/^rfc/, '5.6');
  const release = profileByName(known.includes(version) ? version : version.replace(/-rt$/, ''));
  return { ...release, prealloc: PREALLOC[preallocRule][rt ? 1 : 0], timerBan: rt && timerBan };
}

function requestFor(
  kernel: Machine,
  source: LoadableProgram,
  maps: readonly BpfMap[],
  options: ProgLoadOptions,
): VerifyRequest {
  const { btf, license = 'GPL' } = options;
  return {
    insns: source.insns,
    progType: source.type,
    expectedAttachType: source.expectedAttachType,
    progFlags: source.progFlags,
    license,
    name: source.name,
    maps: maps.map((map) => mapView(kernel, map)),
    ...(btf !== undefined && { btf, funcInfo: source.funcInfo, lineInfo: source.lineInfo }),
    ...(source.attachBtfId !== undefined && { attachBtfId: source.attachBtfId }),
    ...(kernel.btf !== undefined && { policy: { vmlinux: kernel.btf } }),
  };
}

function mapView(kernel: Machine, map: BpfMap): VerifyMap {
  const { name, type, keySize, valueSize, maxEntries, mapFlags, frozen, attr } = map;
  const constant = frozen ? map.directValue(0) : -1;
  return {
    name,
    type,
    keySize,
    valueSize,
    maxEntries,
    mapFlags,
    frozen,
    mapExtra: attr.mapExtra,
    ...(attr.inner !== undefined && { inner: mapView(kernel, attr.inner) }),
    ...(attr.btf !== undefined && {
      btf: attr.btf,
      btfKeyTypeId: attr.btfKeyTypeId ?? 0,
      btfValueTypeId: attr.btfValueTypeId ?? 0,
    }),
    ...(constant >= 0 && { data: kernel.memory.u8.slice(constant, constant + valueSize) }),
  };
}

function rewrite(
  kernel: Machine,
  source: LoadableProgram,
  { reached, pointerTypes }: VerifyResult,
): Converted {
  const live = neutraliseDeadCode(source.insns, reached);
  return convertContextAccesses(live, source.type, pointerTypes, mapReader(kernel));
}

/** Members of `struct bpf_map` that programs read, as the target lays it out; the rest is zero. */
function mapReader(kernel: Machine): ReadMap {
  const id = kernel.btf?.findByName('bpf_map', 'struct');
  const members: readonly (readonly [name: string, value: (map: BpfMap) => number])[] = [
    ['map_type', ({ type }) => type],
    ['key_size', ({ keySize }) => keySize],
    ['value_size', ({ valueSize }) => valueSize],
    ['max_entries', ({ maxEntries }) => maxEntries],
    ['map_flags', ({ mapFlags }) => mapFlags],
    ['id', (map) => map.id],
  ];
  const places = members.flatMap(([name, value]) => {
    const found = id === undefined ? undefined : kernel.btf!.findMember(id, name);
    return found === undefined ? [] : [{ at: found.bitOffset / 8, value }];
  });
  return (header, offset, size) => {
    const map = kernel.mapAt(header);
    const place = places.find(({ at }) => offset >= at && offset + size <= at + 4);
    if (map === undefined || place === undefined) return 0n;
    return BigInt.asUintN(8 * size, BigInt(place.value(map)) >> BigInt(8 * (offset - place.at)));
  };
}

function runtimeEnv(kernel: Machine, source: LoadableProgram, options: ProgLoadOptions): ProgEnv {
  const target = source.attachBtfId === undefined ? undefined : kernel.btf?.nameOf(source.attachBtfId);
  const name = target ?? source.attachTarget;
  return {
    type: source.type,
    expectedAttachType: fixupAttachType(source.type, source.expectedAttachType),
    sleepable: (source.progFlags & ProgFlag.BPF_F_SLEEPABLE) !== 0,
    gpl: /GPL/.test(options.license ?? 'GPL'),
    capabilities: FULL_CAPABILITIES,
    config: FULL_CONFIG,
    ...(name !== undefined && { attach: { name } }),
  };
}

function immResolver(
  kernel: Machine,
  source: LoadableProgram,
  maps: readonly BpfMap[],
  used: Set<BpfMap>,
): ImmResolver {
  return (kind, imm, nextImm, insn) => {
    const place = { symbol: source.name, insn };
    if (kind === BPF_PSEUDO_BTF_ID) {
      const address = kernel.symbols.addressOfType(imm);
      if (address !== undefined) return address;
      throw new UnsupportedError('UNSUPPORTED_IMM', `no kernel variable has BTF id ${imm}`, place);
    }
    const map = maps[imm];
    if ((kind !== BPF_PSEUDO_MAP_FD && kind !== BPF_PSEUDO_MAP_VALUE) || map === undefined) {
      throw new UnsupportedError('UNSUPPORTED_IMM', `constant of kind ${kind} cannot be resolved`, place);
    }
    used.add(map);
    if (kind === BPF_PSEUDO_MAP_FD) return map.header.address;
    const value = map.directValue(nextImm);
    if (value >= 0) return kernel.memory.addressOf(value);
    throw SyscallError.of('EINVAL', `offset ${nextImm} is not within the value of map ${map.name}`, place);
  };
}

/** Every helper and kernel function that the program calls has to be there before any of it runs. */
function requireSupported(
  kernel: Machine,
  source: LoadableProgram,
  insns: readonly Insn[],
  env: ProgEnv,
  resolver: HelperResolver,
): void {
  for (let insn = 0; insn < insns.length; insn++) {
    const { code, src, imm, off } = insns[insn]!;
    if (code === LD_IMM64) insn++;
    if (code !== (BPF_JMP | BPF_CALL)) continue;
    const place = { symbol: source.name, insn };
    if (src === BPF_PSEUDO_KFUNC_CALL && resolver('kfunc', imm, off) === undefined) {
      const name = kernel.btf?.has(imm) === true ? kernel.btf.nameOf(imm) : `with BTF id ${imm}`;
      const what = `kernel function ${name} is not supported`;
      throw new UnsupportedError('UNSUPPORTED_KFUNC', what, place);
    }
    if (src !== 0 || resolver('helper', imm, off) !== undefined) continue;
    const helper = helperById(imm);
    const type = progTypeName(source.type);
    const why =
      helper === undefined
        ? 'no Linux has it'
        : helperVariant(env, helper.name) === undefined
          ? `not for programs of type ${type}`
          : `not supported for ${type}`;
    throw new UnsupportedError('UNSUPPORTED_HELPER', `helper ${helperText(imm)} is ${why}`, place);
  }
}
