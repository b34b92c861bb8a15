/**
 * Objects with BTF for tests: types by name, a `.maps` section from attribute lists, externs. What clang leaves
 * open (sizes of data sections, offsets of globals) is left open here, too.
 */

import type { Endian } from '../../src/isa/insn.js';
import { encodeBtf } from '../../src/object/btf/encode.js';
import type { BtfMember, BtfSecVar, BtfType } from '../../src/object/btf/types.js';
import { intType } from './btf-types.js';

/** Collects types; ids are positions. */
export class Types {
  readonly list: BtfType[] = [];

  add(type: BtfType): number {
    return this.list.push(type);
  }

  /** `int`, 4 bytes, signed. */
  int(name = 'int', size = 4, encoding = 1): number {
    return this.add(intType(name, size, encoding));
  }

  ptr(type: number): number {
    return this.add({ kind: 'ptr', name: '', type });
  }

  array(type: number, count: number): number {
    return this.add({ kind: 'array', name: '', type, indexType: type, count });
  }

  /** A struct whose members are `[name, type, size]`, laid out one after the other. */
  struct(name: string, members: readonly (readonly [name: string, type: number, size: number])[]): number {
    let offset = 0;
    const laidOut = members.map(([member, type, size]): BtfMember => {
      const bitOffset = offset * 8;
      offset += size;
      return { name: member, type, bitOffset, bitfieldSize: 0 };
    });
    return this.add({ kind: 'struct', name, size: offset, kindFlag: false, members: laidOut });
  }

  proto(result: number, params: readonly (readonly [name: string, type: number])[] = []): number {
    const list = params.map(([name, type]) => ({ name, type }));
    return this.add({ kind: 'func_proto', name: '', type: result, params: list });
  }

  func(name: string, type: number, linkage = 1): number {
    return this.add({ kind: 'func', name, type, linkage });
  }

  variable(name: string, type: number, linkage = 1): number {
    return this.add({ kind: 'var', name, type, linkage });
  }

  datasec(name: string, vars: readonly BtfSecVar[], size = 0): number {
    return this.add({ kind: 'datasec', name, size, vars });
  }

  /** `__uint(name, n)`. */
  uint(value: number): number {
    return this.ptr(this.array(this.intId, value));
  }

  /** `__ulong(name, n)`. */
  ulong(value: bigint): number {
    return this.add({ kind: 'enum64', name: '', size: 8, signed: false, values: [{ name: 'ul', value }] });
  }

  #int = 0;

  /** Id of a plain `int`, made on first use. */
  get intId(): number {
    this.#int ||= this.int();
    return this.#int;
  }

  bytes(endian: Endian = 'little'): Uint8Array {
    return encodeBtf(this.list, { endian });
  }
}

/** Attributes of a map definition: numbers are `__uint`, bigints `__ulong`, `{ type }` is `__type`. */
export type MapAttributes = Readonly<
  Record<string, number | bigint | { readonly type: number } | { readonly raw: number }>
>;

/** A struct that defines a map; its size in bytes is `8 * attributes`, plus what `values` adds. */
export function mapStruct(types: Types, attributes: MapAttributes, name = ''): number {
  const members = Object.entries(attributes).map(([member, value]): [string, number, number] => {
    if (typeof value === 'number') return [member, types.uint(value), 8];
    if (typeof value === 'bigint') return [member, types.ulong(value), 8];
    if ('type' in value) return [member, types.ptr(value.type), 8];
    return [member, value.raw, member === 'values' ? 0 : 8];
  });
  return types.struct(name, members);
}
