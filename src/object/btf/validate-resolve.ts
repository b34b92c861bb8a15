/**
 * The rules between BTF records: references lead to things of the right sort, nothing contains itself,
 * members and variables fit. Each kind's rule is the kernel's `resolve` operation of that kind, and the
 * walk keeps the kernel's two modes: pointers end a struct's walk, structs end a pointer's.
 */
import { MAX_RESOLVE_DEPTH } from './format.js';
import { isComposite, sizeOf } from './layout.js';
import type {
  BtfArray,
  BtfComposite,
  BtfDatasec,
  BtfDeclTag,
  BtfFuncProto,
  BtfInt,
  BtfMember,
  BtfType,
} from './types.js';
import { type CheckedBtf, invalid } from './validate-common.js';
import { isIdentifier } from './validate-record.js';

type Mode = 'any' | 'pointer' | 'aggregate';

enum State {
  New = 0,
  Visited = 1,
  Resolved = 2,
}

const isLink = (type: BtfType): boolean =>
  type.kind === 'typedef' ||
  type.kind === 'const' ||
  type.kind === 'volatile' ||
  type.kind === 'restrict' ||
  type.kind === 'type_tag';

/** Nothing may refer to these but what is made for it. */
const isSourceOnly = (type: BtfType): boolean =>
  type.kind === 'var' || type.kind === 'decl_tag' || type.kind === 'datasec';

const hasNoSize = (type: BtfType): boolean =>
  type.kind === 'void' || type.kind === 'fwd' || type.kind === 'func' || type.kind === 'func_proto';

const needsResolve = (type: BtfType): boolean =>
  isLink(type) ||
  isComposite(type) ||
  ['ptr', 'array', 'var', 'func', 'decl_tag', 'datasec'].includes(type.kind);

export class Resolver {
  readonly #btf: CheckedBtf;
  readonly #states: Uint8Array;

  constructor(btf: CheckedBtf) {
    this.#btf = btf;
    this.#states = new Uint8Array(btf.typeCount - btf.firstId);
  }

  /** Checks the type and all it refers to. */
  check(id: number): void {
    const type = this.#btf.type(id);
    if (needsResolve(type) && !this.#isResolved(id)) this.#resolve(id, 'any', 1);
    if (type.kind === 'func_proto') this.#checkProto(id, type);
  }

  /** The base of split BTF has been checked when it was a BTF of its own. */
  #isResolved(id: number): boolean {
    return id < this.#btf.firstId || this.#states[id - this.#btf.firstId] === State.Resolved;
  }

  #isSink(type: BtfType, mode: Mode): boolean {
    if (mode === 'any') return !needsResolve(type);
    if (mode === 'pointer') return !isLink(type) && type.kind !== 'ptr';
    return !isLink(type) && type.kind !== 'array' && !isComposite(type);
  }

  #resolve(id: number, outer: Mode, depth: number): void {
    const btf = this.#btf;
    if (depth > MAX_RESOLVE_DEPTH)
      throw invalid(btf, id, `nests deeper than ${MAX_RESOLVE_DEPTH}`, 'BTF_LOOP');
    const slot = id - btf.firstId;
    if (this.#states[slot] === State.Visited) throw invalid(btf, id, 'loop detected', 'BTF_LOOP');
    this.#states[slot] = State.Visited;
    const type = btf.type(id);
    const mode = outer === 'any' ? modeOf(type) : outer;
    const visit = (next: number): void => {
      if (!this.#isSink(btf.type(next), mode) && !this.#isResolved(next))
        this.#resolve(next, mode, depth + 1);
    };
    switch (type.kind) {
      case 'struct':
      case 'union':
        this.#resolveComposite(id, type, visit);
        break;
      case 'array':
        this.#resolveArray(id, type, visit);
        break;
      case 'datasec':
        this.#resolveDatasec(id, type, (next) => {
          if (!this.#isResolved(next)) this.#resolve(next, 'any', depth + 1);
        });
        break;
      case 'decl_tag':
        this.#resolveDeclTag(id, type, visit);
        break;
      case 'func':
        this.#checkFunc(id, type.type);
        break;
      default:
        if ('type' in type) this.#resolveReference(id, type.kind, type.type, visit);
    }
    this.#states[slot] = State.Resolved;
  }

  /** Qualifiers, typedefs, tags, pointers and variables. */
  #resolveReference(id: number, kind: string, next: number, visit: (next: number) => void): void {
    const btf = this.#btf;
    if (!btf.has(next) || isSourceOnly(btf.type(next))) throw invalid(btf, id, 'invalid type id');
    visit(next);
    const end = this.#skipLinks(next);
    // a link may have been resolved only up to a pointer, which must not lead back here
    if ((kind === 'ptr' || kind === 'var') && end !== next && btf.kindOf(end) === 'ptr') visit(end);
    const target = btf.type(end);
    if (!hasNoSize(target)) return;
    const allowed = kind !== 'var' && target.kind !== 'func';
    if (!allowed) throw invalid(btf, id, 'invalid type id');
  }

  #skipLinks(id: number): number {
    let at = id;
    for (let i = 0; i <= MAX_RESOLVE_DEPTH; i++) {
      const type = this.#btf.type(at);
      if (!isLink(type) || !('type' in type)) return at;
      at = type.type;
    }
    throw invalid(this.#btf, id, 'chain of modifiers is too long, or loops', 'BTF_LOOP');
  }

  #resolveArray(id: number, type: BtfArray, visit: (next: number) => void): void {
    const btf = this.#btf;
    for (const [what, next] of [['index', type.indexType] as const, ['element', type.type] as const]) {
      const refused = !btf.has(next) || hasNoSize(btf.type(next)) || isSourceOnly(btf.type(next));
      if (refused) throw invalid(btf, id, `invalid ${what} type`);
      visit(next);
      const end = btf.type(this.#skipLinks(next));
      if (hasNoSize(end)) throw invalid(btf, id, `invalid ${what} type`);
      const plainInt = end.kind === 'int' && isRegular(end);
      if (what === 'index' ? !plainInt : end.kind === 'int' && !plainInt) {
        throw invalid(btf, id, `invalid ${what} type`);
      }
    }
    if (sizeOf(btf, type.type) * type.count > 0xffffffff) throw invalid(btf, id, 'array size exceeds 4 GiB');
  }

  #resolveComposite(id: number, type: BtfComposite, visit: (next: number) => void): void {
    const btf = this.#btf;
    for (const [i, member] of type.members.entries()) {
      const at = `member ${member.name === '' ? i : member.name}`;
      const refused =
        !btf.has(member.type) || hasNoSize(btf.type(member.type)) || isSourceOnly(btf.type(member.type));
      if (refused) throw invalid(btf, id, `${at} has an invalid type`);
      visit(member.type);
      this.#checkMember(id, type, member, at);
    }
  }

  #checkMember(id: number, type: BtfComposite, member: BtfMember, at: string): void {
    const held = this.#btf.type(this.#skipLinks(member.type));
    const fail = (detail: string): Error => invalid(this.#btf, id, `${at} ${detail}`);
    if (hasNoSize(held)) throw fail('has no size');
    const oldBitfield = held.kind === 'int' && !type.kindFlag;
    const first = member.bitOffset + (oldBitfield ? held.bitOffset : 0);
    if (type.kindFlag && held.kind === 'int' && !isRegular(held)) throw fail('has an invalid base type');
    if (!oldBitfield && member.bitfieldSize === 0 && first % 8 !== 0) throw fail('is not byte aligned');
    const width = this.#widthOf(member.type, held, type.kindFlag);
    if (member.bitfieldSize > (isBitfieldBase(held) ? width : 0)) throw fail('has an invalid bit-field size');
    const bits = member.bitfieldSize || width;
    if (held.kind === 'int' && (first % 8) + bits > MAX_COPIED_BITS) {
      throw fail(`spans over ${MAX_COPIED_BITS} bits`);
    }
    if (Math.ceil((first + bits) / 8) > type.size) throw fail(`exceeds its ${type.kind}`);
  }

  /** Bits of a member's value; the kernel takes enums in structs with bit-fields for 32 bits wide. */
  #widthOf(id: number, held: BtfType, kindFlag: boolean): number {
    if (held.kind === 'int') return held.bits;
    if (kindFlag && isBitfieldBase(held)) return 32;
    return sizeOf(this.#btf, id) * 8;
  }

  #resolveDatasec(id: number, type: BtfDatasec, visit: (next: number) => void): void {
    const btf = this.#btf;
    for (const [i, entry] of type.vars.entries()) {
      const variable = btf.has(entry.type) ? btf.type(entry.type) : undefined;
      if (variable?.kind !== 'var') throw invalid(btf, id, `entry ${i} is no variable`);
      // the kernel compares sizes only with variables that it has resolved by then
      const resolved = this.#isResolved(entry.type);
      visit(entry.type);
      if (resolved && entry.size < sizeOf(btf, variable.type))
        throw invalid(btf, id, `variable ${variable.name} is too small`);
    }
  }

  #resolveDeclTag(id: number, tag: BtfDeclTag, visit: (next: number) => void): void {
    const btf = this.#btf;
    const target = btf.has(tag.type) ? btf.type(tag.type) : undefined;
    const kinds = ['func', 'struct', 'union', 'var', 'typedef'];
    if (target === undefined || !kinds.includes(target.kind)) throw invalid(btf, id, 'invalid type id');
    visit(tag.type);
    if (tag.componentIndex === -1) return;
    const owner = isComposite(target) ? tag.type : target.kind === 'func' ? target.type : undefined;
    if (owner === undefined || tag.componentIndex >= btf.vlenOf(owner)) {
      throw invalid(btf, id, `invalid component index ${tag.componentIndex}`);
    }
  }

  #checkFunc(id: number, protoId: number): void {
    const proto = this.#btf.has(protoId) ? this.#btf.type(protoId) : undefined;
    if (proto?.kind !== 'func_proto') throw invalid(this.#btf, id, 'invalid type id');
    const bad = proto.params.findIndex((param) => param.name === '' && param.type !== 0);
    if (bad >= 0) throw invalid(this.#btf, id, `invalid argument ${bad + 1}`);
  }

  #checkProto(id: number, proto: BtfFuncProto): void {
    if (proto.type !== 0) this.#checkArgument(id, proto.type, 'invalid return type');
    for (const [i, param] of proto.params.entries()) {
      const detail = `invalid argument ${i + 1}`;
      const variadic = param.type === 0 && i === proto.params.length - 1;
      if (variadic) {
        if (param.name !== '') throw invalid(this.#btf, id, detail);
        continue;
      }
      if (param.name !== '' && !isIdentifier(param.name)) throw invalid(this.#btf, id, detail);
      this.#checkArgument(id, param.type, detail);
    }
  }

  #checkArgument(id: number, typeId: number, detail: string): void {
    const btf = this.#btf;
    if (!btf.has(typeId) || isSourceOnly(btf.type(typeId))) throw invalid(btf, id, detail);
    if (needsResolve(btf.type(typeId)) && !this.#isResolved(typeId)) this.#resolve(typeId, 'any', 1);
    if (hasNoSize(btf.type(this.#skipLinks(typeId)))) throw invalid(btf, id, detail);
  }
}

/** Widest old-style bit-field, from the byte it starts in. */
const MAX_COPIED_BITS = 128;

function modeOf(type: BtfType): Mode {
  if (type.kind === 'ptr') return 'pointer';
  return isComposite(type) || type.kind === 'array' ? 'aggregate' : 'any';
}

const isBitfieldBase = (type: BtfType): boolean =>
  type.kind === 'int' || type.kind === 'enum' || type.kind === 'enum64';

/** Its value is a whole machine integer, no old-style bit-field. */
function isRegular(type: BtfInt): boolean {
  return type.bitOffset === 0 && [8, 16, 32, 64, 128].includes(type.bits);
}
