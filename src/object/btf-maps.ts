/**
 * Maps defined by BTF in `.maps`: every attribute is encoded in the type of a member of an anonymous struct
 * (libbpf's `parse_btf_map_def` and `bpf_object__init_user_btf_map`). Initial slots come from the section's
 * relocations. One bad definition is reported and does not hide the others.
 */
import { MapType } from '../abi/map-types.js';
import { BpflabError } from '../errors.js';
import type { Btf } from './btf/btf.js';
import type { BtfComposite, BtfMember, BtfTypeId } from './btf/types.js';
import { ObjectError } from './errors.js';
import { emptyMap, isMapInMap, mapTypeOf, ringbufSize, takesBtf } from './map-def.js';
import type { MapDef, ObjectMap, Section } from './types.js';

export const BTF_MAPS_SECTION = '.maps';

/** A definition as far as it has been read; `mapFlags` and the like are unsigned 32-bit numbers. */
interface Draft {
  type: number;
  maxEntries: number;
  mapFlags: number;
  mapExtra: bigint;
  numaNode: number;
  keySize: number;
  valueSize: number;
  keyTypeId: BtfTypeId;
  valueTypeId: BtfTypeId;
  pinning: 'none' | 'byName';
  inner?: MapDef;
}

const emptyDraft = (): Draft => ({
  type: 0,
  maxEntries: 0,
  mapFlags: 0,
  mapExtra: 0n,
  numaNode: 0,
  keySize: 0,
  valueSize: 0,
  keyTypeId: 0,
  valueTypeId: 0,
  pinning: 'none',
});

/** Where in a definition one is: for messages and for the rules of inner definitions. */
interface Context {
  readonly btf: Btf;
  readonly name: string;
  readonly inner: boolean;
}

const bad = (ctx: Context, detail: string, code: ObjectError['code'] = 'OBJECT_BAD_MAP'): ObjectError =>
  new ObjectError(code, detail, { section: BTF_MAPS_SECTION, symbol: ctx.name });

/** All maps of the section, in offset order; what is wrong goes to `problems`. */
export function readBtfMaps(section: Section, btf: Btf, problems: BpflabError[]): ObjectMap[] {
  const id = btf.findByName(BTF_MAPS_SECTION, 'datasec');
  const datasec = id === undefined ? undefined : btf.type(id);
  if (datasec?.kind !== 'datasec') {
    problems.push(
      new ObjectError('OBJECT_BTF_REQUIRED', 'the maps are not described by the BTF (no DATASEC .maps)', {
        section: BTF_MAPS_SECTION,
      }),
    );
    return [];
  }
  const maps: ObjectMap[] = [];
  for (const [index, entry] of datasec.vars.entries()) {
    const variable = btf.type(entry.type);
    const name = variable.name || `#${index}`;
    const ctx: Context = { btf, name, inner: false };
    try {
      if (variable.kind !== 'var')
        throw bad(ctx, `expected a variable in the DATASEC, got a ${variable.kind}`);
      if (variable.name === '') throw bad(ctx, 'a map without a name');
      if (entry.offset + entry.size > section.size) {
        throw bad(
          ctx,
          `definition at ${entry.offset} of ${entry.size} bytes leaves the section's ${section.size}`,
        );
      }
      if (variable.linkage !== 1) {
        throw bad(
          ctx,
          'the map is not a global variable (static and extern maps are not supported)',
          'OBJECT_UNSUPPORTED_MAP',
        );
      }
      const struct = btf.underlying(variable.type);
      if (struct.kind !== 'struct') throw bad(ctx, `a map is defined by a struct, not by a ${struct.kind}`);
      if (struct.size > entry.size)
        throw bad(ctx, `struct of ${struct.size} bytes in a variable of ${entry.size}`);
      const def = defOf(ctx, readDraft(ctx, struct));
      maps.push({ def, sectionIndex: section.index, sectionOffset: entry.offset });
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      problems.push(error.within({ section: BTF_MAPS_SECTION, symbol: name }));
    }
  }
  return maps;
}

function defOf(ctx: Context, draft: Draft): MapDef {
  const type = mapTypeOf(draft.type, ctx.name, BTF_MAPS_SECTION);
  const ringbuf = type === MapType.ringbuf || type === MapType.user_ringbuf;
  const btfIds = takesBtf(type);
  return {
    ...emptyMap(ctx.name, BTF_MAPS_SECTION),
    origin: 'btf',
    type,
    keySize: draft.keySize,
    valueSize: draft.valueSize,
    maxEntries: ringbuf ? ringbufSize(draft.maxEntries) : draft.maxEntries,
    mapFlags: draft.mapFlags,
    mapExtra: draft.mapExtra,
    numaNode: draft.numaNode,
    btfKeyTypeId: btfIds ? draft.keyTypeId : 0,
    btfValueTypeId: btfIds ? draft.valueTypeId : 0,
    pinning: draft.pinning,
    ...(draft.inner === undefined ? {} : { inner: draft.inner }),
  };
}

function readDraft(ctx: Context, struct: BtfComposite): Draft {
  const draft = emptyDraft();
  for (const [index, member] of struct.members.entries()) {
    const last = index === struct.members.length - 1;
    readAttribute(ctx, draft, member, last);
  }
  return draft;
}

function readAttribute(ctx: Context, draft: Draft, member: BtfMember, last: boolean): void {
  switch (member.name) {
    case 'type':
      draft.type = intOf(ctx, member);
      return;
    case 'max_entries':
      draft.maxEntries = intOf(ctx, member);
      return;
    case 'map_flags':
      draft.mapFlags = intOf(ctx, member);
      return;
    case 'numa_node':
      draft.numaNode = intOf(ctx, member);
      return;
    case 'map_extra':
      draft.mapExtra = longOf(ctx, member);
      return;
    case 'key_size':
      draft.keySize = agree(ctx, 'key', draft.keySize, intOf(ctx, member));
      return;
    case 'value_size':
      draft.valueSize = agree(ctx, 'value', draft.valueSize, intOf(ctx, member));
      return;
    case 'key':
      draft.keyTypeId = pointee(ctx, member);
      draft.keySize = agree(ctx, 'key', draft.keySize, ctx.btf.sizeOf(draft.keyTypeId));
      return;
    case 'value':
      draft.valueTypeId = pointee(ctx, member);
      draft.valueSize = agree(ctx, 'value', draft.valueSize, ctx.btf.sizeOf(draft.valueTypeId));
      return;
    case 'pinning':
      draft.pinning = pinningOf(ctx, member);
      return;
    case 'values':
      readValues(ctx, draft, member, last);
      return;
    default:
      throw bad(ctx, `unknown attribute "${member.name}"`, 'OBJECT_UNSUPPORTED_MAP');
  }
}

/** `__uint(name, n)`: a pointer to an array of n. */
function intOf(ctx: Context, member: BtfMember): number {
  const { btf } = ctx;
  const pointer = btf.underlying(member.type);
  if (pointer.kind !== 'ptr')
    throw bad(ctx, `attribute ${member.name}: expected a pointer, got ${pointer.kind}`);
  const array = btf.type(pointer.type);
  if (array.kind !== 'array')
    throw bad(ctx, `attribute ${member.name}: expected an array, got ${array.kind}`);
  return array.count;
}

/** `__uint`, or `__ulong`: an enum with the one value. */
function longOf(ctx: Context, member: BtfMember): bigint {
  const { btf } = ctx;
  const type = btf.underlying(member.type);
  if (type.kind === 'ptr') return BigInt(intOf(ctx, member));
  if (type.kind !== 'enum' && type.kind !== 'enum64') {
    throw bad(ctx, `attribute ${member.name}: expected an enum, got ${type.kind}`);
  }
  const value = type.values[0]?.value;
  if (value === undefined || type.values.length !== 1) {
    throw bad(ctx, `attribute ${member.name}: an enum of ${type.values.length} values, expected one`);
  }
  return BigInt.asUintN(64, value);
}

/** `__type(name, T)`: a pointer to T. */
function pointee(ctx: Context, member: BtfMember): BtfTypeId {
  const pointer = ctx.btf.type(member.type);
  if (pointer.kind !== 'ptr')
    throw bad(ctx, `attribute ${member.name}: expected a pointer, got ${pointer.kind}`);
  return pointer.type;
}

function agree(ctx: Context, what: string, before: number, size: number): number {
  if (before !== 0 && before !== size) throw bad(ctx, `conflicting ${what} sizes ${before} and ${size}`);
  return size;
}

function pinningOf(ctx: Context, member: BtfMember): 'none' | 'byName' {
  if (ctx.inner) throw bad(ctx, 'an inner map cannot be pinned');
  const value = intOf(ctx, member);
  if (value > 1) throw bad(ctx, `pinning ${value} is neither LIBBPF_PIN_NONE (0) nor LIBBPF_PIN_BY_NAME (1)`);
  return value === 1 ? 'byName' : 'none';
}

/** `__array(values, T)`: a zero-length array of pointers to inner maps or to program prototypes. */
function readValues(ctx: Context, draft: Draft, member: BtfMember, last: boolean): void {
  const { btf } = ctx;
  const ofMaps = isMapInMap(draft.type);
  if (ctx.inner) throw bad(ctx, 'an inner map is itself a map of maps', 'OBJECT_UNSUPPORTED_MAP');
  if (!last) throw bad(ctx, '"values" must be the last attribute');
  if (!ofMaps && draft.type !== MapType.prog_array) {
    throw bad(ctx, '"values" belongs to maps of maps and program arrays only', 'OBJECT_UNSUPPORTED_MAP');
  }
  draft.valueSize = agree(ctx, 'value', draft.valueSize, 4);
  const array = btf.type(member.type);
  if (array.kind !== 'array' || array.count !== 0) throw bad(ctx, '"values" is not a zero-length array');
  const pointer = btf.underlying(array.type);
  if (pointer.kind !== 'ptr') throw bad(ctx, `"values" holds ${pointer.kind}, expected pointers`);
  const target = btf.underlying(pointer.type);
  if (!ofMaps) {
    if (target.kind !== 'func_proto')
      throw bad(ctx, `"values" points to a ${target.kind}, expected a function`);
    return;
  }
  if (target.kind !== 'struct')
    throw bad(ctx, `"values" points to a ${target.kind}, expected a map definition`);
  const inner: Context = { btf, name: `${ctx.name}.inner`, inner: true };
  draft.inner = defOf(inner, readDraft(inner, target));
}
