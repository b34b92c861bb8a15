/**
 * A relocated object's program as a request to the verifier: what libbpf would hand to `BPF_MAP_CREATE`, `BPF_BTF_LOAD`
 * and `BPF_PROG_LOAD` (`bpf_object__create_map`, `bpf_object_load_prog` of libbpf 1.x).
 */
import { MapType } from '../abi/map-types.js';
import type { LoadableObject, LoadableProgram, MapDef } from '../object/types.js';
import type { VerifyMap, VerifyPolicy, VerifyRequest } from './types.js';

export interface ObjectRequestOptions {
  /** Bits: 1 states at branches, 2 every instruction, 4 statistics. Default 0. */
  readonly logLevel?: number;
  /** Flags beside those that the section name implies, e.g. `BPF_F_STRICT_ALIGNMENT`. */
  readonly progFlags?: number;
  readonly policy?: VerifyPolicy;
}

/** Types that libbpf creates without BTF, since Linux takes none for them. */
const WITHOUT_BTF: ReadonlySet<number> = new Set([
  MapType.perf_event_array,
  MapType.cgroup_array,
  MapType.stack_trace,
  MapType.array_of_maps,
  MapType.hash_of_maps,
  MapType.devmap,
  MapType.devmap_hash,
  MapType.cpumap,
  MapType.xskmap,
  MapType.sockmap,
  MapType.sockhash,
  MapType.queue,
  MapType.stack,
  MapType.arena,
]);

const KERNEL_NAME_SIZE = 15;

/** The name as Linux keeps it: cut, and without characters that it refuses. */
const kernelName = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_.]/g, '_').slice(0, KERNEL_NAME_SIZE);

function mapOf(map: MapDef, object: LoadableObject): VerifyMap {
  const { btf } = object;
  const typed = btf !== undefined && map.btfValueTypeId !== 0 && !WITHOUT_BTF.has(map.type);
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

/** The load request of one of the object's programs. Maps keep their places in `object.maps`, as `LD_IMM64` names them. */
export function requestOf(
  object: LoadableObject,
  program: LoadableProgram,
  options: ObjectRequestOptions = {},
): VerifyRequest {
  const { btf } = object;
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
  };
}
