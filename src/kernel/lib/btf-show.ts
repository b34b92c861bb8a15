/**
 * A value as text by its BTF type, as `bpf_snprintf_btf` writes it: `(struct s){.a = (int)1,}`. Zeros are left out. Models
 * `btf_show` of kernel/bpf/btf.c, Linux 6.18.
 */
import type { Btf } from '../../object/btf/btf.js';
import type { BtfComposite, BtfType } from '../../object/btf/types.js';

/** BTF_F_COMPACT: one line; NONAME: no names; PTR_RAW: addresses as they are; ZERO: zeros, too. */
const COMPACT = 1;
const NONAME = 2;
const ZERO = 8;
export const BTF_SHOW_FLAGS = 15;

/** Bytes at an offset of the value; undefined where they cannot be read. */
export type ReadValue = (offset: number, length: number) => Uint8Array | undefined;

const MAX_DEPTH = 32;

class Show {
  private text = '';

  constructor(
    private readonly btf: Btf,
    private readonly flags: number,
    private readonly read: ReadValue,
  ) {}

  run(id: number): string {
    this.value(id, 0, '', 0, true);
    return this.text;
  }

  private get compact(): boolean {
    return (this.flags & COMPACT) !== 0;
  }

  private newline(depth: number): void {
    if (!this.compact) this.text += `\n${' '.repeat(depth)}`;
  }

  /** What stands in front of a value: member, and type in parentheses. */
  private label(member: string, typeName: string): string {
    if ((this.flags & NONAME) !== 0) return '';
    const name = member === '' ? '' : `.${member} = `;
    return typeName === '' ? name : `${name}(${typeName})`;
  }

  private value(id: number, offset: number, member: string, depth: number, top = false): void {
    if (depth > MAX_DEPTH) return;
    const name = typeText(this.btf, id);
    const type = this.btf.underlying(id);
    if (type.kind === 'struct' || type.kind === 'union')
      this.composite(type, name, offset, member, depth, top);
    else if (type.kind === 'array') this.array(type, name, offset, member, depth, top);
    else this.scalar(type, name, offset, member, depth, top);
  }

  private isZero(offset: number, size: number): boolean {
    return this.read(offset, size)?.every((byte) => byte === 0) ?? true;
  }

  private composite(
    type: BtfComposite,
    name: string,
    offset: number,
    member: string,
    depth: number,
    top: boolean,
  ): void {
    if (!top && (this.flags & ZERO) === 0 && this.isZero(offset, type.size)) return;
    if (!top) this.newline(depth);
    this.text += `${this.label(member, name)}{`;
    for (const field of type.members) {
      const { bitfieldSize, bitOffset } = field;
      if (bitfieldSize === 0) this.value(field.type, offset + bitOffset / 8, field.name, depth + 1);
      else this.bitfield(field.type, offset, bitOffset, bitfieldSize, field.name, depth + 1);
    }
    this.close('}', depth, top);
  }

  private array(
    type: Extract<BtfType, { kind: 'array' }>,
    name: string,
    offset: number,
    member: string,
    depth: number,
    top: boolean,
  ): void {
    const size = this.btf.sizeOf(type.type);
    if (!top && (this.flags & ZERO) === 0 && this.isZero(offset, size * type.count)) return;
    if (!top) this.newline(depth);
    this.text += `${this.label(member, name)}[`;
    const element = this.btf.underlying(type.type);
    const isText = element.kind === 'int' && element.size === 1 && (element.char || element.bits === 8);
    for (let i = 0; i < type.count; i++) {
      if (isText && this.isZero(offset + i, 1)) break;
      this.value(type.type, offset + i * size, '', depth + 1);
    }
    this.close(']', depth, top);
  }

  private close(bracket: string, depth: number, top: boolean): void {
    this.newline(depth);
    this.text += top ? bracket : `${bracket},`;
  }

  private bitfield(
    id: number,
    offset: number,
    bitOffset: number,
    bits: number,
    member: string,
    depth: number,
  ): void {
    const bytes = this.read(offset + (bitOffset >> 3), ((bitOffset & 7) + bits + 7) >> 3);
    if (bytes === undefined) return;
    let value = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    value = (value >> BigInt(bitOffset & 7)) & ((1n << BigInt(bits)) - 1n);
    this.put(value === 0n, `0x${value.toString(16)}`, typeText(this.btf, id), member, depth, false);
  }

  private scalar(
    type: BtfType,
    name: string,
    offset: number,
    member: string,
    depth: number,
    top: boolean,
  ): void {
    const size = type.kind === 'ptr' ? 8 : 'size' in type ? type.size : 0;
    const bytes = size === 0 ? undefined : this.read(offset, size);
    if (bytes === undefined) return;
    let value = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    this.put(value === 0n, scalarText(type, value, size), name, member, depth, top);
  }

  private put(zero: boolean, text: string, name: string, member: string, depth: number, top: boolean): void {
    if (zero && !top && (this.flags & ZERO) === 0) return;
    if (!top) this.newline(depth);
    this.text += `${this.label(member, name)}${text}${top ? '' : ','}`;
  }
}

function scalarText(type: BtfType, value: bigint, size: number): string {
  if (type.kind === 'ptr') return `0x${value.toString(16).padStart(16, '0')}`;
  if (type.kind === 'enum' || type.kind === 'enum64') {
    const known = type.values.find((entry) => BigInt.asUintN(size * 8, BigInt(entry.value)) === value);
    return known?.name ?? BigInt.asIntN(size * 8, value).toString();
  }
  if (type.kind !== 'int') return `0x${value.toString(16)}`;
  if (type.bool) return value === 0n ? 'false' : 'true';
  const printable = value >= 0x20n && value < 0x7fn;
  if (size === 1 && (type.char || printable))
    return printable ? `'${String.fromCharCode(Number(value))}'` : String(value);
  return type.signed ? BigInt.asIntN(size * 8, value).toString() : value.toString();
}

/** `struct s`, `int`, `char *`, `int []`: as C spells it, without qualifiers. */
function typeText(btf: Btf, id: number): string {
  let suffix = '';
  let at = id;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const type = btf.type(at);
    switch (type.kind) {
      case 'ptr':
        suffix = `*${suffix}`;
        at = type.type;
        break;
      case 'array':
        suffix = `${suffix}[]`;
        at = type.type;
        break;
      case 'const':
      case 'volatile':
      case 'restrict':
      case 'type_tag':
        at = type.type;
        break;
      case 'struct':
      case 'union':
        return joined(`${type.kind}${type.name === '' ? '' : ` ${type.name}`}`, suffix);
      case 'enum':
      case 'enum64':
        return joined(`enum${type.name === '' ? '' : ` ${type.name}`}`, suffix);
      case 'void':
        return joined('void', suffix);
      case 'func_proto':
        return joined('', suffix);
      default:
        return joined(type.name, suffix);
    }
  }
  return '';
}

const joined = (name: string, suffix: string): string => (suffix === '' ? name : `${name}${suffix}`);

/** The text of the value of a type, whose bytes `read` gives. */
export function showBtf(btf: Btf, id: number, flags: number, read: ReadValue): string {
  return new Show(btf, flags, read).run(id);
}
