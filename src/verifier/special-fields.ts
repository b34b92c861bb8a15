/**
 * Fields of map values that programs may not touch with plain loads and stores: locks, timers, kernel
 * pointers, list and tree heads. Found through the value's BTF as `btf_parse_fields` of Linux 6.18 finds
 * them (kernel/bpf/btf.c): the value type itself, nested structs, arrays of structs, and the
 * variables of a data section.
 */
import type { Btf } from '../object/btf/btf.js';
import type { BtfTypeId } from '../object/btf/types.js';
import type { VerifyMap } from './types.js';

/** Kinds as bits, so that sets of them can be asked for. */
export const FIELD = {
  SPIN_LOCK: 1 << 0,
  TIMER: 1 << 1,
  KPTR_UNREF: 1 << 2,
  KPTR_REF: 1 << 3,
  KPTR_PERCPU: 1 << 4,
  LIST_HEAD: 1 << 5,
  LIST_NODE: 1 << 6,
  RB_ROOT: 1 << 7,
  RB_NODE: 1 << 8,
  REFCOUNT: 1 << 9,
  WORKQUEUE: 1 << 10,
  UPTR: 1 << 11,
  RES_SPIN_LOCK: 1 << 12,
  TASK_WORK: 1 << 13,
} as const;

/** Fields that own objects in a list or a tree, and what links an object there. */
const GRAPH_ROOTS = FIELD.LIST_HEAD | FIELD.RB_ROOT;
export const GRAPH_NODES = FIELD.LIST_NODE | FIELD.RB_NODE;

export const KPTR_KINDS = FIELD.KPTR_UNREF | FIELD.KPTR_REF | FIELD.KPTR_PERCPU;

export interface SpecialField {
  readonly kind: number;
  /** Bytes from the start of the value. */
  readonly offset: number;
  readonly size: number;
  /** For kernel pointers, what they point to; for heads and roots, what they hold. */
  readonly target?: FieldTarget;
}

/** A structure in the program's own BTF. */
export interface FieldTarget {
  readonly btf: Btf;
  readonly id: BtfTypeId;
  /** Heads and roots: bytes from the structure's start to the node that links it. */
  readonly nodeOffset: number;
}

/** What the log calls a field (`btf_field_type_name`). */
export function fieldText(kind: number): string {
  for (const [name, [bit, text]] of BY_STRUCT_NAME) if (bit === kind) return text ?? name;
  if (kind === FIELD.UPTR) return 'uptr';
  if (kind === FIELD.KPTR_PERCPU) return 'percpu_kptr';
  return 'kptr';
}

/** Structs of the kernel, by name: kind, and name in the log where it differs. */
const BY_STRUCT_NAME = new Map<string, readonly [kind: number, text?: string]>([
  ['bpf_spin_lock', [FIELD.SPIN_LOCK]],
  ['bpf_res_spin_lock', [FIELD.RES_SPIN_LOCK]],
  ['bpf_timer', [FIELD.TIMER]],
  ['bpf_wq', [FIELD.WORKQUEUE]],
  ['bpf_task_work', [FIELD.TASK_WORK]],
  ['bpf_list_head', [FIELD.LIST_HEAD]],
  ['bpf_list_node', [FIELD.LIST_NODE]],
  ['bpf_rb_root', [FIELD.RB_ROOT]],
  ['bpf_rb_node', [FIELD.RB_NODE]],
  ['bpf_refcount', [FIELD.REFCOUNT]],
]);

const POINTER_TAGS = new Map<string, number>([
  ['kptr_untrusted', FIELD.KPTR_UNREF],
  ['kptr', FIELD.KPTR_REF],
  ['percpu_kptr', FIELD.KPTR_PERCPU],
  ['uptr', FIELD.UPTR],
]);

/** Nesting of structs that the kernel follows. */
const MAX_DEPTH = 31;
/** Fields a value may have (`BTF_FIELDS_MAX`). */
const MAX_FIELDS = 11;

/** Special fields of a map's value in ascending order; none without BTF. */
export function findSpecialFields(map: VerifyMap): readonly SpecialField[] {
  const { btf, btfValueTypeId } = map;
  if (btf === undefined || btfValueTypeId === undefined || btfValueTypeId === 0) return [];
  return btf.has(btfValueTypeId) ? searchFields(btf, btfValueTypeId) : [];
}

type FieldsById = Map<number, readonly SpecialField[]>;
const fieldsOf = new WeakMap<Btf, FieldsById>();

/** Special fields of a structure in ascending order; remembered. */
export function specialFieldsOf(btf: Btf, id: number): readonly SpecialField[] {
  let byId = fieldsOf.get(btf);
  if (byId === undefined) {
    byId = new Map();
    fieldsOf.set(btf, byId);
  }
  let fields = byId.get(id);
  if (fields === undefined) {
    fields = searchFields(btf, id);
    byId.set(id, fields);
  }
  return fields;
}

function searchFields(btf: Btf, id: number): readonly SpecialField[] {
  const search = new FieldSearch(btf);
  search.inType(id, 0, 0);
  const fields = search.found.sort((a, b) => a.offset - b.offset);
  return !search.tooDeep && isGoodRecord(fields) ? fields : [];
}

/** At most one of each of these. */
const UNIQUE =
  FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK | FIELD.TIMER | FIELD.WORKQUEUE | FIELD.TASK_WORK | FIELD.REFCOUNT;

/** Linux takes fields that do not go together for none at all (the end of `btf_parse_fields`). */
function isGoodRecord(fields: readonly SpecialField[]): boolean {
  if (fields.length > MAX_FIELDS) return false;
  let mask = 0;
  for (const { kind, target } of fields) {
    if ((mask & kind & UNIQUE) !== 0) return false;
    if ((kind & GRAPH_ROOTS) !== 0 && target === undefined) return false;
    mask |= kind;
  }
  const locks = mask & (FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK);
  if ((mask & GRAPH_ROOTS) !== 0 && locks === 0) return false;
  if (locks === (FIELD.SPIN_LOCK | FIELD.RES_SPIN_LOCK)) return false;
  return (mask & GRAPH_NODES) !== GRAPH_NODES || (mask & FIELD.REFCOUNT) !== 0;
}

class FieldSearch {
  readonly found: SpecialField[] = [];
  tooDeep = false;
  readonly #btf: Btf;

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  inType(id: number, offset: number, depth: number): void {
    if (depth > MAX_DEPTH) this.tooDeep = true;
    if (this.tooDeep || this.found.length > MAX_FIELDS) return;
    const structId = this.#btf.skipModifiersAndTypedefs(id);
    const type = this.#btf.type(structId);
    if (type.kind === 'struct') {
      type.members.forEach((member, i) => {
        this.#inMember(member.type, offset + (member.bitOffset >>> 3), depth, structId, i);
      });
    } else if (type.kind === 'datasec') {
      for (const variable of type.vars) {
        const target = this.#btf.type(variable.type);
        if (target.kind === 'var') {
          this.#inMember(target.type, offset + variable.offset, depth, variable.type, -1);
        }
      }
    }
  }

  /** `owner`, `component`: where a declaration tag says what a head or root holds. */
  #inMember(id: number, offset: number, depth: number, owner: BtfTypeId, component: number): void {
    let at = this.#btf.skipModifiersAndTypedefs(id);
    let count = 1;
    for (let type = this.#btf.type(at); type.kind === 'array'; type = this.#btf.type(at)) {
      count *= type.count;
      at = this.#btf.skipModifiersAndTypedefs(type.type);
    }
    const type = this.#btf.type(at);
    if (count === 0) return;
    const named = type.kind === 'struct' ? BY_STRUCT_NAME.get(type.name) : undefined;
    const kind = named?.[0] ?? (type.kind === 'ptr' ? this.#pointerKind(type.type) : undefined);
    if (kind === undefined && type.kind !== 'struct') return;
    const size = kind !== undefined && type.kind === 'ptr' ? 8 : this.#btf.sizeOf(at);
    for (let i = 0; i < Math.min(count, MAX_FIELDS + 1); i++) {
      if (kind === undefined) {
        this.inType(at, offset + i * size, depth + 1);
        continue;
      }
      const target =
        type.kind === 'ptr'
          ? { btf: this.#btf, id: this.#btf.skipModifiersAndTypedefs(type.type), nodeOffset: 0 }
          : (kind & GRAPH_ROOTS) !== 0
            ? findContents(
                this.#btf,
                owner,
                component,
                kind === FIELD.LIST_HEAD ? 'bpf_list_node' : 'bpf_rb_node',
              )
            : undefined;
      this.found.push({ kind, offset: offset + i * size, size, ...(target !== undefined && { target }) });
    }
  }

  #pointerKind(pointee: number): number | undefined {
    const tag = this.#btf.type(pointee);
    return tag.kind === 'type_tag' && !tag.attribute ? POINTER_TAGS.get(tag.name) : undefined;
  }
}

const CONTAINS = 'contains:';
const contentsOf = new WeakMap<Btf, Map<string, string>>();

/** `contains:struct:node` tags, by what they belong to. */
function contentTags(btf: Btf): Map<string, string> {
  let tags = contentsOf.get(btf);
  if (tags !== undefined) return tags;
  tags = new Map();
  for (let id = btf.firstId; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'decl_tag') continue;
    const tag = btf.type(id);
    if (tag.kind !== 'decl_tag' || !tag.name.startsWith(CONTAINS)) continue;
    tags.set(`${tag.type}.${tag.componentIndex}`, tag.name.slice(CONTAINS.length));
  }
  contentsOf.set(btf, tags);
  return tags;
}

/** What a head or root holds (`btf_find_graph_root`, `btf_parse_graph_root`). */
function findContents(
  btf: Btf,
  owner: BtfTypeId,
  component: number,
  nodeStruct: string,
): FieldTarget | undefined {
  const [struct = '', node = ''] = contentTags(btf).get(`${owner}.${component}`)?.split(':') ?? [];
  const id = btf.findByName(struct, 'struct');
  const type = id === undefined ? undefined : btf.type(id);
  if (id === undefined || type?.kind !== 'struct') return undefined;
  const member = type.members.find(({ name }) => name === node);
  if (member === undefined || btf.nameOf(btf.skipModifiersAndTypedefs(member.type)) !== nodeStruct) {
    return undefined;
  }
  return { btf, id, nodeOffset: member.bitOffset >>> 3 };
}
