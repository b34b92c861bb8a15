/**
 * BTF type by type, as `bpftool btf dump` prints it: as text, and as the objects of its JSON form. Every
 * field of the format is shown, nothing is resolved but the names of a section's variables.
 */
import type { Btf } from '../btf.js';
import { BTF_LINKAGES, type BtfInt, type BtfType } from '../types.js';

/** A number, or for 64-bit values that a double cannot hold, its decimal digits. */
export type RawValue = string | number;
export type RawFields = Readonly<Record<string, RawValue>>;

export interface RawType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly fields: RawFields;
  /** Members, values, parameters or variables, under the name that JSON gives them. */
  readonly list?: { readonly key: string; readonly items: readonly RawFields[] };
}

const nameOrAnon = (name: string): string => (name === '' ? '(anon)' : name);

/** The type as a flat record in the order of `bpftool`'s output. */
export function rawType(btf: Btf, id: number): RawType {
  const type = btf.type(id);
  const head = { id, kind: type.kind.toUpperCase(), name: nameOrAnon(type.name) };
  const list = rawList(btf, type);
  return { ...head, fields: rawFields(type), ...(list === undefined ? {} : { list }) };
}

function rawFields(type: BtfType): RawFields {
  switch (type.kind) {
    case 'void':
      return {};
    case 'int':
      return {
        size: type.size,
        bits_offset: type.bitOffset,
        nr_bits: type.bits,
        encoding: encodingName(type),
      };
    case 'array':
      return { type_id: type.type, index_type_id: type.indexType, nr_elems: type.count };
    case 'struct':
    case 'union':
      return { size: type.size, vlen: type.members.length };
    case 'enum':
    case 'enum64':
      return { encoding: type.signed ? 'SIGNED' : 'UNSIGNED', size: type.size, vlen: type.values.length };
    case 'fwd':
      return { fwd_kind: type.of };
    case 'func_proto':
      return { ret_type_id: type.type, vlen: type.params.length };
    case 'func':
    case 'var':
      return { type_id: type.type, linkage: BTF_LINKAGES[type.linkage] ?? `(unknown ${type.linkage})` };
    case 'datasec':
      return { size: type.size, vlen: type.vars.length };
    case 'float':
      return { size: type.size };
    case 'decl_tag':
      return { type_id: type.type, component_idx: type.componentIndex, ...attribute(type) };
    case 'type_tag':
      return { type_id: type.type, ...attribute(type) };
    default:
      return { type_id: type.type };
  }
}

const attribute = (type: { readonly attribute: boolean }): RawFields =>
  type.attribute ? { kind_flag: 1 } : {};

function encodingName(type: BtfInt): string {
  switch (type.encoding) {
    case 0:
      return '(none)';
    case 1:
      return 'SIGNED';
    case 2:
      return 'CHAR';
    case 4:
      return 'BOOL';
    default:
      return 'UNKN';
  }
}

function rawList(btf: Btf, type: BtfType): RawType['list'] | undefined {
  switch (type.kind) {
    case 'struct':
    case 'union':
      return {
        key: 'members',
        items: type.members.map((member) => ({
          name: nameOrAnon(member.name),
          type_id: member.type,
          bits_offset: member.bitOffset,
          ...(member.bitfieldSize > 0 ? { bitfield_size: member.bitfieldSize } : {}),
        })),
      };
    case 'enum':
    case 'enum64':
      return {
        key: 'values',
        items: type.values.map(({ name, value }) => ({ name: nameOrAnon(name), val: exact(value) })),
      };
    case 'func_proto':
      return {
        key: 'params',
        items: type.params.map((param) => ({ name: nameOrAnon(param.name), type_id: param.type })),
      };
    case 'datasec':
      return {
        key: 'vars',
        items: type.vars.map((variable) => ({
          type_id: variable.type,
          offset: variable.offset,
          size: variable.size,
          ...variableName(btf, variable.type),
        })),
      };
    default:
      return undefined;
  }
}

function variableName(btf: Btf, id: number): RawFields {
  if (!btf.has(id)) return {};
  const kind = btf.kindOf(id);
  return kind === 'var' || kind === 'func' ? { type: `${kind.toUpperCase()} '${btf.nameOf(id)}'` } : {};
}

const exact = (value: bigint): RawValue => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
};

/** `[1] INT 'int' size=4 …`, with a line for each member; no newline at the end. */
export function rawText(raw: RawType): string {
  const separator = raw.kind === 'VAR' ? ', ' : ' ';
  const head = `[${raw.id}] ${raw.kind} '${raw.name}' ${pairs(raw.fields).join(separator)}`.trimEnd();
  const lines = (raw.list?.items ?? []).map(({ name, type, ...fields }) => {
    const quoted = name === undefined ? [] : [`'${name}'`];
    const note = type === undefined ? [] : [`(${type})`];
    const suffix = raw.kind === 'ENUM64' ? (raw.fields.encoding === 'SIGNED' ? 'LL' : 'ULL') : '';
    return `\t${[...quoted, ...pairs(fields), ...note].join(' ')}${suffix}`;
  });
  return [head, ...lines].join('\n');
}

function pairs(fields: RawFields): string[] {
  return Object.entries(fields).map(([key, value]) => `${key}=${value}`);
}

/** The same as one object, as `bpftool -j` has it (a section's variables also name what they are). */
export function rawJson(raw: RawType): Record<string, unknown> {
  const { id, kind, name, fields, list } = raw;
  return { id, kind, name, ...fields, ...(list === undefined ? {} : { [list.key]: list.items }) };
}
