/**
 * Types as C declarations: `int (*name[4])(void)`. C writes a declaration from the inside out, BTF chains
 * it from the outside in; the chain is collected and then written starting at its base.
 */
import type { Btf } from '../btf.js';
import { BtfError } from '../error.js';
import type { BtfComposite, BtfEnum, BtfType } from '../types.js';
import type { DumpBudget } from './budget.js';
import type { CNames } from './names.js';
import { alignOrZero, bitfieldWidth, isPacked, paddingFor } from './padding.js';

export interface DeclareOptions {
  /** Write anonymous structs and enums as `struct` alone rather than in full. */
  readonly brief?: boolean;
}

interface Link {
  readonly id: number;
  readonly type: BtfType;
}

const isQualifier = (type: BtfType): type is Extract<BtfType, { kind: 'const' | 'volatile' | 'restrict' }> =>
  type.kind === 'const' || type.kind === 'volatile' || type.kind === 'restrict';

export class Declarer {
  readonly #btf: Btf;
  readonly #names: CNames;
  readonly #budget: DumpBudget;
  readonly #brief: boolean;

  constructor(btf: Btf, names: CNames, budget: DumpBudget, options: DeclareOptions = {}) {
    this.#btf = btf;
    this.#names = names;
    this.#budget = budget;
    this.#brief = options.brief ?? false;
  }

  /** `name` (empty for an abstract one) declared to be of type `id`; `level` indents what is written in full. */
  declare(id: number, name: string, level = 0): string {
    return this.#budget.nest(id, () => this.#write(this.#chain(id), name, level));
  }

  /** From the outermost type to its base. */
  #chain(id: number): Link[] {
    const chain: Link[] = [];
    for (let at = id; ; ) {
      const type = this.#btf.type(at);
      chain.push({ id: at, type });
      const goesOn = isQualifier(type) || ['ptr', 'array', 'func_proto', 'type_tag'].includes(type.kind);
      if (!goesOn || !('type' in type)) return chain;
      if (chain.length === MAX_CHAIN) {
        throw new BtfError(
          'BTF_LOOP',
          `type [${id}] refers to itself, or through more than ${MAX_CHAIN} types`,
        );
      }
      at = type.type;
    }
  }

  /** Takes links from the end of `chain`; `afterPointer` decides where a space is due. */
  #write(chain: Link[], name: string, level: number): string {
    let text = '';
    let afterPointer = true;
    for (let link = chain.pop(); link !== undefined; link = chain.pop()) {
      const { type } = link;
      if (type.kind === 'array') return text + this.#array(type.count, chain, name, level, afterPointer);
      if (type.kind === 'func_proto') return text + this.#function(type, chain, name, level, afterPointer);
      if (type.kind === 'ptr') text += afterPointer ? '*' : ' *';
      else if (isQualifier(type)) text += ` ${type.kind}`;
      else text += takeQualifiers(chain) + this.#base(link, level);
      afterPointer = type.kind === 'ptr';
    }
    return text + named(name, afterPointer);
  }

  #base({ id, type }: Link, level: number): string {
    switch (type.kind) {
      case 'void':
        return 'void';
      case 'struct':
      case 'union':
        return type.name === '' && !this.#brief ? this.composite(id, type, level) : this.tag(id, type.kind);
      case 'enum':
      case 'enum64':
        return type.name === '' && !this.#brief ? this.enumeration(id, type, level) : this.tag(id, 'enum');
      case 'fwd':
        return this.tag(id, type.of);
      case 'typedef':
        return this.#names.identifier(id);
      case 'type_tag':
        return type.attribute
          ? ` __attribute__((${type.name}))`
          : ` __attribute__((btf_type_tag("${type.name}")))`;
      default:
        return type.name;
    }
  }

  #array(count: number, chain: Link[], name: string, level: number, afterPointer: boolean): string {
    takeQualifiers(chain);
    if (chain.length === 0) return `${named(name, afterPointer)}[${count}]`;
    const inner = chain[chain.length - 1]!.type.kind === 'array';
    const space = name !== '' && !afterPointer ? ' ' : '';
    const declarator = this.#write(chain, name, level);
    return `${space}${inner ? declarator : `(${declarator})`}[${count}]`;
  }

  #function(
    type: Extract<BtfType, { kind: 'func_proto' }>,
    chain: Link[],
    name: string,
    level: number,
    afterPointer: boolean,
  ): string {
    takeQualifiers(chain);
    const head = chain.length > 0 ? ` (${this.#write(chain, name, level)})` : named(name, afterPointer);
    const { params } = type;
    if (params.length === 0 || (params.length === 1 && params[0]!.type === 0)) return `${head}(void)`;
    const list = params.map((param, i) =>
      i === params.length - 1 && param.type === 0 ? '...' : this.declare(param.type, param.name, level),
    );
    return `${head}(${list.join(', ')})`;
  }

  /** `struct name`, or `struct` alone. */
  tag(id: number, keyword: string): string {
    const name = this.#names.tag(id);
    return name === '' ? keyword : `${keyword} ${name}`;
  }

  /** A struct or union with all its members. */
  composite(id: number, type: BtfComposite, level: number): string {
    const isStruct = type.kind === 'struct';
    const packed = isStruct && isPacked(this.#btf, type);
    const indent = tabs(level + 1);
    const lines: string[] = [];
    const head = this.tag(id, type.kind);
    let at = 0;
    let afterBitfield = false;
    const pad = (to: number, align: number, inBitfield: boolean): void => {
      for (const line of paddingFor({ from: at, to, align, inBitfield }, this.#btf.pointerSize))
        lines.push(line);
    };
    for (const member of type.members) {
      const bits = bitfieldWidth(this.#btf, member);
      pad(member.bitOffset, packed ? 1 : alignOrZero(this.#btf, member.type), afterBitfield && bits > 0);
      const declared = this.declare(member.type, member.name, level + 1);
      lines.push(bits > 0 ? `${declared}: ${bits}` : declared);
      at = member.bitOffset + (bits || this.#sizeOrZero(member.type) * 8);
      afterBitfield = bits > 0;
    }
    if (isStruct) pad(type.size * 8, alignOrZero(this.#btf, id), false);
    const body = lines.map((line) => `\n${indent}${line};`).join('');
    const close = type.members.length > 0 || type.size > 0 ? `\n${tabs(level)}}` : '}';
    return `${head} {${body}${close}${packed ? ' __attribute__((packed))' : ''}`;
  }

  #sizeOrZero(id: number): number {
    try {
      return this.#btf.sizeOf(id);
    } catch (error) {
      if (error instanceof BtfError) return 0;
      throw error;
    }
  }

  /** An enum with all its values. */
  enumeration(id: number, type: BtfEnum, level: number): string {
    const head = this.tag(id, 'enum');
    if (type.values.length === 0) return head;
    const indent = tabs(level + 1);
    const suffix = type.kind === 'enum' ? '' : type.signed ? 'LL' : 'ULL';
    const body = type.values
      .map(({ name, value }) => `\n${indent}${this.#names.enumerator(name)} = ${value}${suffix},`)
      .join('');
    return `${head} {${body}\n${tabs(level)}}${enumMode(type, this.#btf.pointerSize)}`;
  }
}

/** Deeper levels are not indented further, as in libbpf. */
const tabs = (level: number): string => '\t'.repeat(Math.min(level, 13));

/** Links of one declaration; C compilers promise a dozen. */
const MAX_CHAIN = 256;

function named(name: string, afterPointer: boolean): string {
  return name !== '' && !afterPointer ? ` ${name}` : name;
}

/** Qualifiers that precede what is written next; before an array or function they mean nothing and are dropped. */
function takeQualifiers(chain: Link[]): string {
  let text = '';
  for (let last = chain[chain.length - 1]; last !== undefined && isQualifier(last.type); ) {
    text += `${last.type.kind} `;
    chain.pop();
    last = chain[chain.length - 1];
  }
  return text;
}

/** Enums are as wide as `int` unless a value or an attribute says otherwise. */
function enumMode(type: BtfEnum, pointerSize: number): string {
  if (type.size === 1) return ' __attribute__((mode(byte)))';
  if (type.size !== 8 || pointerSize !== 8) return '';
  const wide = type.kind === 'enum64' && type.values.some(({ value }) => value >> 32n !== 0n);
  return wide ? '' : ' __attribute__((mode(word)))';
}
