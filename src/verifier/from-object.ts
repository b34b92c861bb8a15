/**
 * A relocated object's program as a request to the verifier: what libbpf would hand to `BPF_MAP_CREATE`, `BPF_BTF_LOAD`
 * and `BPF_PROG_LOAD` (`bpf_object__create_map`, `bpf_object_load_prog` of libbpf 1.x).
 */
import { ProgType } from '../abi/prog-types.js';
import { takesBtf } from '../object/map-def.js';
import { MAX_KERNEL_NAME } from '../object/names.js';
import type { LoadableObject, LoadableProgram, MapDef } from '../object/types.js';
import { VerifierError } from './error.js';
import type { VerifyCapabilities, VerifyMap, VerifyPolicy, VerifyRequest } from './types.js';

export interface ObjectRequestOptions {
  /** Bits: 1 states at branches, 2 every instruction, 4 statistics. Default 0. */
  readonly logLevel?: number;
  /** Flags beside those that the section name implies, e.g. `BPF_F_STRICT_ALIGNMENT`. */
  readonly progFlags?: number;
  readonly policy?: VerifyPolicy;
  /** Default: all. */
  readonly capabilities?: VerifyCapabilities;
}

/** The name as Linux keeps it: cut, and without characters that it refuses. */
const kernelName = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_.]/g, '_').slice(0, MAX_KERNEL_NAME);

function mapOf(map: MapDef, object: LoadableObject): VerifyMap {
  const { btf } = object;
  const typed = btf !== undefined && map.btfValueTypeId !== 0 && takesBtf(map.type);
  return {
    name: kernelName(map.kernelName ?? map.name),
    type: map.type,
    keySize: map.keySize,
    valueSize: map.valueSize,
    maxEntries: map.maxEntries,
    mapFlags: map.mapFlags,
    mapExtra: map.mapExtra,
    ...(map.inner !== undefined && { inner: mapOf(map.inner, object) }),
    ...(map.initialData !== undefined && { data: map.initialData }),
    frozen: map.frozen,
    ...(typed && { btf, btfKeyTypeId: map.btfKeyTypeId, btfValueTypeId: map.btfValueTypeId }),
  };
}

const mapsOf = new WeakMap<LoadableObject, readonly VerifyMap[]>();

function requestMaps(object: LoadableObject): readonly VerifyMap[] {
  const known = mapsOf.get(object);
  if (known !== undefined) return known;
  const maps = object.maps.map((map) => mapOf(map, object));
  mapsOf.set(object, maps);
  return maps;
}

/** Program types that name a function or type of the kernel in their section. */
const KERNEL_TARGETS: ReadonlySet<number> = new Set([ProgType.tracing, ProgType.lsm]);

/**
 * The load request of one of the object's programs. Maps keep their places in `object.maps`, as `LD_IMM64` names them.
 * @throws VerifierError `VERIFIER_TARGET` where the kernel's types lack what the program is to be attached to.
 */
export function requestOf(
  object: LoadableObject,
  program: LoadableProgram,
  options: ObjectRequestOptions = {},
): VerifyRequest {
  const { btf } = object;
  const { attachTarget } = program;
  if (KERNEL_TARGETS.has(program.type) && attachTarget !== undefined && program.attachBtfId === undefined) {
    throw new VerifierError(
      'VERIFIER_TARGET',
      `program ${program.name}: the kernel's types have no attach target "${attachTarget}" (section ${program.section})`,
    );
  }
  return {
    insns: program.insns,
    progType: program.type,
    expectedAttachType: program.expectedAttachType,
    progFlags: program.progFlags | (options.progFlags ?? 0),
    license: object.license,
    name: kernelName(program.name),
    maps: requestMaps(object),
    ...(btf !== undefined && { btf, funcInfo: program.funcInfo, lineInfo: program.lineInfo }),
    ...(program.attachBtfId !== undefined && { attachBtfId: program.attachBtfId }),
    ...(options.logLevel !== undefined && { logLevel: options.logLevel }),
    ...(options.policy !== undefined && { policy: options.policy }),
    ...(options.capabilities !== undefined && { capabilities: options.capabilities }),
  };
}
