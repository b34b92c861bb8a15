/**
 * BTF types as the rest of the library sees them: a union discriminated by `kind`, in the terms of
 * `include/uapi/linux/btf.h` (Linux 6.18). Ids are indexes into one `Btf` (with its base); 0 is `void`.
 */

/** Kind names by their number in the format. */
export const BTF_KINDS = [
  'void',
  'int',
  'ptr',
  'array',
  'struct',
  'union',
  'enum',
  'fwd',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'func',
  'func_proto',
  'var',
  'datasec',
  'float',
  'decl_tag',
  'type_tag',
  'enum64',
] as const;

export type BtfKind = (typeof BTF_KINDS)[number];

export type BtfTypeId = number;

export interface BtfVoid {
  readonly kind: 'void';
  readonly name: '';
}

export interface BtfInt {
  readonly kind: 'int';
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly signed: boolean;
  readonly char: boolean;
  readonly bool: boolean;
  /** Encoding nibble as written: the three flags above, and what is not a flag of them. */
  readonly encoding: number;
  /** Old-style bit-fields: where the value starts, and how many bits it has. */
  readonly bitOffset: number;
  readonly bits: number;
}

export interface BtfPtr {
  readonly kind: 'ptr';
  readonly name: string;
  readonly type: BtfTypeId;
}

export interface BtfArray {
  readonly kind: 'array';
  readonly name: string;
  /** Element type. */
  readonly type: BtfTypeId;
  readonly indexType: BtfTypeId;
  readonly count: number;
}

export interface BtfMember {
  readonly name: string;
  readonly type: BtfTypeId;
  /** From the start of the containing type, in bits. */
  readonly bitOffset: number;
  /** Bits, 0 where the member is no bit-field by `kindFlag` (its type may be an old-style bit-field integer). */
  readonly bitfieldSize: number;
}

export interface BtfComposite {
  readonly kind: 'struct' | 'union';
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Member offsets carry bit-field sizes. */
  readonly kindFlag: boolean;
  readonly members: readonly BtfMember[];
}

export interface BtfEnumValue {
  readonly name: string;
  readonly value: bigint;
}

export interface BtfEnum {
  readonly kind: 'enum' | 'enum64';
  readonly name: string;
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
  /** `kind_flag`: values are signed. */
  readonly signed: boolean;
  readonly values: readonly BtfEnumValue[];
}

export interface BtfFwd {
  readonly kind: 'fwd';
  readonly name: string;
  /** `kind_flag`: what was declared. */
  readonly of: 'struct' | 'union';
}

export interface BtfTypedef {
  readonly kind: 'typedef';
  readonly name: string;
  readonly type: BtfTypeId;
}

export interface BtfQualifier {
  readonly kind: 'volatile' | 'const' | 'restrict';
  readonly name: string;
  readonly type: BtfTypeId;
}

/** The number is the linkage's encoding. */
export const BTF_LINKAGES = ['static', 'global', 'extern'] as const;

export interface BtfFunc {
  readonly kind: 'func';
  readonly name: string;
  /** Its prototype. */
  readonly type: BtfTypeId;
  /** 0 static, 1 global, 2 extern. */
  readonly linkage: number;
}

export interface BtfParam {
  readonly name: string;
  /** 0 with no name in the last place: variadic. */
  readonly type: BtfTypeId;
}

export interface BtfFuncProto {
  readonly kind: 'func_proto';
  readonly name: string;
  /** Return type. */
  readonly type: BtfTypeId;
  readonly params: readonly BtfParam[];
}

export interface BtfVar {
  readonly kind: 'var';
  readonly name: string;
  readonly type: BtfTypeId;
  /** 0 static, 1 global, 2 extern. */
  readonly linkage: number;
}

export interface BtfSecVar {
  /** Id of a `var`, or of a `func` in `.ksyms`. */
  readonly type: BtfTypeId;
  /** Bytes from the start of the section. */
  readonly offset: number;
  readonly size: number;
}

export interface BtfDatasec {
  readonly kind: 'datasec';
  /** Section name with its dot. */
  readonly name: string;
  readonly size: number;
  readonly vars: readonly BtfSecVar[];
}

export interface BtfFloat {
  readonly kind: 'float';
  readonly name: string;
  readonly size: number;
}

export interface BtfDeclTag {
  readonly kind: 'decl_tag';
  /** The tag's text. */
  readonly name: string;
  readonly type: BtfTypeId;
  /** Member or parameter index, -1 for the whole declaration. */
  readonly componentIndex: number;
  /** `kind_flag`: the text is an attribute as written rather than a `btf_decl_tag`. */
  readonly attribute: boolean;
}

export interface BtfTypeTag {
  readonly kind: 'type_tag';
  /** The tag's text. */
  readonly name: string;
  readonly type: BtfTypeId;
  /** `kind_flag`: the text is an attribute as written rather than a `btf_type_tag`. */
  readonly attribute: boolean;
}

export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfPtr
  | BtfArray
  | BtfComposite
  | BtfEnum
  | BtfFwd
  | BtfTypedef
  | BtfQualifier
  | BtfFunc
  | BtfFuncProto
  | BtfVar
  | BtfDatasec
  | BtfFloat
  | BtfDeclTag
  | BtfTypeTag;

/** Types that only wrap another one: qualifiers and type tags. */
export type BtfModifier = BtfQualifier | BtfTypeTag;
