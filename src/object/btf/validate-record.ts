/**
 * The rules that one BTF record obeys by itself: names, sizes, reserved bits, orders. Each kind's rule
 * is the kernel's `check_meta` operation of that kind.
 */
import { BTF_MAX_TYPE, infoFlag } from './format.js';
import type { BtfComposite, BtfDatasec, BtfEnum, BtfInt, BtfType } from './types.js';
import { type CheckedBtf, invalid } from './validate-common.js';

/** Bits of `info` that Linux 6.18 knows: vlen 16, kind 5, kind_flag 1. */
const INFO_MASK = 0x9f00ffff;
/** Longest name, NUL included (`KSYM_NAME_LEN`). */
const MAX_NAME = 512;
const MAX_INT_BITS = 128;

type Fail = (detail: string) => Error;

const KINDS_WITH_FLAG = new Set(['struct', 'union', 'enum', 'enum64', 'fwd', 'decl_tag', 'type_tag']);
const KINDS_WITH_VLEN = new Set(['struct', 'union', 'enum', 'enum64', 'func_proto', 'datasec', 'func']);

export function checkRecord(btf: CheckedBtf, id: number): void {
  const fail: Fail = (detail) => invalid(btf, id, detail);
  const info = btf.word(id, 1);
  if ((info & ~INFO_MASK) !== 0) throw fail(`invalid info word 0x${info.toString(16)}`);
  const type = btf.type(id);
  if (infoFlag(info) && !KINDS_WITH_FLAG.has(type.kind)) throw fail('kind_flag is set');
  if (btf.vlenOf(id) !== 0 && !KINDS_WITH_VLEN.has(type.kind)) throw fail('vlen is not 0');
  checkName(btf.word(id, 0), type, fail);
  checkBody(btf, id, type, fail);
}

/** A name that is there (`offset` is not 0) and empty is no name that anything may have. */
function checkName(offset: number, type: BtfType, fail: Fail): void {
  const { kind, name } = type;
  switch (kind) {
    case 'typedef':
    case 'fwd':
    case 'func':
    case 'var':
      if (!isIdentifier(name)) throw fail('invalid name');
      return;
    case 'struct':
    case 'union':
    case 'enum':
    case 'enum64':
      if (offset !== 0 && !isIdentifier(name)) throw fail('invalid name');
      return;
    case 'datasec':
      if (!/^[\x20-\x7e]+$/.test(name) || name.length >= MAX_NAME) throw fail('invalid name');
      return;
    case 'type_tag':
    case 'decl_tag':
      if (name === '') throw fail('invalid name');
      return;
    case 'ptr':
    case 'const':
    case 'volatile':
    case 'restrict':
    case 'array':
    case 'func_proto':
      if (offset !== 0) throw fail('invalid name');
      return;
    default:
  }
}

/** Letters, digits, `_` and `.`, not starting with a digit. */
export function isIdentifier(name: string): boolean {
  return /^[A-Za-z_.][\w.]*$/.test(name) && name.length <= MAX_NAME;
}

function checkBody(btf: CheckedBtf, id: number, type: BtfType, fail: Fail): void {
  switch (type.kind) {
    case 'int':
      checkInt(btf.word(id, 3), type, fail);
      return;
    case 'struct':
    case 'union':
      checkComposite(btf, id, type, fail);
      return;
    case 'enum':
    case 'enum64':
      checkEnum(type, fail);
      return;
    case 'datasec':
      checkDatasec(type, fail);
      return;
    case 'array':
      if (btf.word(id, 2) !== 0) throw fail('size is not 0');
      if (!isTypeId(type.type)) throw fail('invalid element type');
      if (!isTypeId(type.indexType)) throw fail('invalid index type');
      return;
    case 'fwd':
      if (btf.word(id, 2) !== 0) throw fail('type is not 0');
      return;
    case 'func':
      if (type.linkage > 1) throw fail(`invalid linkage ${type.linkage}`);
      return;
    case 'var':
      if (!isTypeId(type.type)) throw fail('invalid type id');
      if (type.linkage > 1) throw fail(`linkage ${type.linkage} is not supported`);
      return;
    case 'float':
      if (![2, 4, 8, 12, 16].includes(type.size)) throw fail(`invalid size ${type.size}`);
      return;
    case 'decl_tag':
      if (type.componentIndex < -1) throw fail(`invalid component index ${type.componentIndex}`);
      return;
    default:
  }
}

const isTypeId = (id: number): boolean => id !== 0 && id <= BTF_MAX_TYPE;

function checkInt(word: number, type: BtfInt, fail: Fail): void {
  if (word >>> 28 !== 0) throw fail(`invalid integer data 0x${word.toString(16)}`);
  const bits = type.bits + type.bitOffset;
  if (bits > MAX_INT_BITS) throw fail(`${bits} bits exceed ${MAX_INT_BITS}`);
  if (Math.ceil(bits / 8) > type.size) throw fail(`${bits} bits exceed the ${type.size} bytes of the type`);
  if (![0, 1, 2, 4].includes(type.encoding)) throw fail(`unsupported encoding ${type.encoding}`);
}

function checkComposite(btf: CheckedBtf, id: number, type: BtfComposite, fail: Fail): void {
  let last = 0;
  for (const [i, member] of type.members.entries()) {
    const at = `member ${member.name === '' ? i : member.name}`;
    if (btf.word(id, 3 + 3 * i) !== 0 && !isIdentifier(member.name)) throw fail(`${at} has an invalid name`);
    if (!isTypeId(member.type)) throw fail(`${at} has an invalid type id`);
    if (type.kind === 'union' && member.bitOffset !== 0) throw fail(`${at} of a union has an offset`);
    if (member.bitOffset < last) throw fail(`${at} lies before the one that precedes it`);
    if (Math.ceil(member.bitOffset / 8) > type.size) throw fail(`${at} lies outside its ${type.kind}`);
    last = member.bitOffset;
  }
}

function checkEnum(type: BtfEnum, fail: Fail): void {
  if (![1, 2, 4, 8].includes(type.size)) throw fail(`unexpected size ${type.size}`);
  for (const [i, { name }] of type.values.entries()) {
    if (!isIdentifier(name)) throw fail(`enumerator ${i} has an invalid name`);
  }
}

function checkDatasec(type: BtfDatasec, fail: Fail): void {
  if (type.size === 0) throw fail('size is 0');
  let end = 0;
  for (const [i, variable] of type.vars.entries()) {
    if (!isTypeId(variable.type)) throw fail(`variable ${i} has an invalid type id`);
    if (variable.offset < end || variable.offset >= type.size)
      throw fail(`variable ${i} has an invalid offset`);
    if (variable.size === 0 || variable.size > type.size) throw fail(`variable ${i} has an invalid size`);
    end = variable.offset + variable.size;
    if (end > type.size) throw fail(`variable ${i} ends outside the section`);
  }
}
