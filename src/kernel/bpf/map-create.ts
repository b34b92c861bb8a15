/**
 * BPF_MAP_CREATE: what Linux checks before and after the map type's own rules, the types of keys and values included.
 * Models `map_create` and `map_check_btf` (kernel/bpf/syscall.c) of Linux 6.18.
 */
import { MapFlag } from '../../abi/map-flags.js';
import { MapType, mapTypeName } from '../../abi/map-types.js';
import { findSpecialFields } from '../../verifier/special-fields.js';
import { VmMemoryError } from '../../vm/index.js';
import { SyscallError } from '../errors.js';
import { type BtfRecord, recordOf, recordProblem } from './btf-record.js';
import { type BpfMap, type MapAttr, type MapHost, requireAttr } from './map.js';
import { mapClass } from './map-types.js';

/** Types that make something of `map_extra`. */
const EXTRA_TYPES: readonly MapType[] = [MapType.bloom_filter, MapType.arena];
/** Types that take no BTF at all (`map_check_no_btf`). */
const NO_BTF: readonly MapType[] = [
  MapType.stack_trace,
  MapType.array_of_maps,
  MapType.hash_of_maps,
  MapType.perf_event_array,
  MapType.cgroup_array,
  MapType.devmap,
  MapType.devmap_hash,
  MapType.cpumap,
  MapType.xskmap,
  MapType.sockmap,
  MapType.sockhash,
];

/** Throws `SyscallError` with Linux's errno. */
export function createMap(host: MapHost, attr: MapAttr): BpfMap {
  const Class = mapClass(attr.type);
  if (Class === undefined)
    throw SyscallError.of('EINVAL', `map ${attr.name}: no Linux has ${mapTypeName(attr.type)}`);
  checkCommon(attr);
  Class.check(attr);
  try {
    const record = checkBtf(attr);
    return new Class(record === undefined ? attr : { ...attr, record }, host);
  } catch (error) {
    if (!(error instanceof VmMemoryError)) throw error;
    throw SyscallError.of('ENOMEM', `map ${attr.name}: ${error.detail}`);
  }
}

function checkCommon(attr: MapAttr): void {
  const { type, mapFlags, btfKeyTypeId = 0, btfValueTypeId = 0, btfVmlinuxValueTypeId = 0 } = attr;
  if (btfVmlinuxValueTypeId !== 0) {
    const alone = type === MapType.struct_ops && btfKeyTypeId === 0 && btfValueTypeId === 0;
    requireAttr(alone, attr, 'EINVAL', 'a type of the kernel is for struct_ops maps, and alone');
  } else {
    requireAttr(
      btfKeyTypeId === 0 || btfValueTypeId !== 0,
      attr,
      'EINVAL',
      'a type of keys and none of values',
    );
  }
  const extraOk = attr.mapExtra === 0n || EXTRA_TYPES.includes(type);
  requireAttr(extraOk, attr, 'EINVAL', 'map_extra means nothing to it');
  const direction = MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY;
  requireAttr(
    (mapFlags & direction) !== direction,
    attr,
    'EINVAL',
    'BPF_F_RDONLY and BPF_F_WRONLY exclude each other',
  );
  requireAttr((attr.numaNode ?? 0) === 0, attr, 'EINVAL', `there is no NUMA node ${attr.numaNode}`);
}

/** The special fields of the values, if the attributes tell their type. */
function checkBtf(attr: MapAttr): BtfRecord | undefined {
  const { btf, type, btfKeyTypeId: keyId = 0, btfValueTypeId: valueId = 0 } = attr;
  if (btf === undefined || valueId === 0) return undefined;
  const Class = mapClass(type);
  const hasHook = Class?.checkBtf !== undefined || NO_BTF.includes(type);
  if (keyId === 0) requireAttr(hasHook, attr, 'EINVAL', 'no type of keys');
  else requireAttr(sizeOf(attr, keyId) === attr.keySize, attr, 'EINVAL', 'the type of keys has another size');
  requireAttr(
    sizeOf(attr, valueId) === attr.valueSize,
    attr,
    'EINVAL',
    'the type of values has another size',
  );
  const fields = findSpecialFields({ ...attr, btf, btfValueTypeId: valueId });
  const record = recordOf(fields);
  if (record !== undefined) {
    const refused = recordProblem(type, attr.mapFlags, record);
    if (refused !== undefined)
      throw SyscallError.of(refused, `map ${attr.name}: fields its values may not have`);
  }
  requireAttr(!NO_BTF.includes(type), attr, 'ENOTSUPP', 'it takes no types of keys and values');
  Class?.checkBtf?.(attr);
  return record;
}

/** Bytes of a type, or undefined for what has none (`btf_type_id_size`). */
function sizeOf({ btf }: MapAttr, id: number): number | undefined {
  if (btf === undefined || !btf.has(id)) return undefined;
  const at = btf.skipModifiersAndTypedefs(id);
  const { kind } = btf.type(at);
  const sized = ['int', 'ptr', 'array', 'struct', 'union', 'enum', 'enum64', 'float', 'datasec', 'var'];
  return sized.includes(kind) ? btf.sizeOf(at) : undefined;
}
