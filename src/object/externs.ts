/**
 * Symbols that an object leaves undefined: `.kconfig` variables, kernel functions and variables (`.ksyms`).
 * Collected and typed here as libbpf does (`bpf_object__collect_externs`); values come in when the object
 * is relocated.
 */
import { BpflabError } from '../errors.js';
import type { Btf } from './btf/btf.js';
import type { BtfTypeId } from './btf/types.js';
import { SHN_UNDEF, STB_GLOBAL, STB_WEAK, STT_NOTYPE } from './elf/constants.js';
import { ObjectError } from './errors.js';
import type { Extern, KconfigKind, Sym } from './types.js';

export const KCONFIG_SECTION = '.kconfig';
export const KSYMS_SECTION = '.ksyms';

export function isExternSym(sym: Sym): boolean {
  return (
    sym.sectionIndex === SHN_UNDEF &&
    (sym.binding === STB_GLOBAL || sym.binding === STB_WEAK) &&
    sym.type === STT_NOTYPE &&
    sym.name !== ''
  );
}

/**
 * All externs, in libbpf's order: kconfig by descending alignment, then ascending size, then name; then ksyms by
 * name; then those without a type (libbpf refuses these; here only what refers to them fails).
 */
export function collectExterns(
  symbols: readonly Sym[],
  btf: Btf | undefined,
  problems: BpflabError[],
): Extern[] {
  const undefinedSyms = symbols.filter(isExternSym);
  if (undefinedSyms.length === 0) return [];
  const types =
    btf === undefined ? undefined : externTypes(btf, new Set(undefinedSyms.map((sym) => sym.name)));
  const drafts: Draft[] = [];
  for (const sym of undefinedSyms) {
    try {
      drafts.push(draftOf(sym, btf, types));
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      problems.push(error.within({ symbol: sym.name }));
    }
  }
  drafts.sort(compareDrafts);
  let end = 0;
  return drafts.map(({ extern, align }) => {
    if (extern.kconfig === undefined) return extern;
    const offset = Math.ceil(end / align) * align;
    end = offset + extern.kconfig.size;
    return { ...extern, kconfig: { ...extern.kconfig, offset } };
  });
}

interface Draft {
  readonly extern: Extern;
  /** Alignment of a kconfig variable in bytes, 1 for others. */
  readonly align: number;
}

const rank = { kconfig: 0, kfunc: 1, ksym: 1, unknown: 2 } as const;

function compareDrafts(a: Draft, b: Draft): number {
  const byName = a.extern.name < b.extern.name ? -1 : a.extern.name > b.extern.name ? 1 : 0;
  const sizes = (a.extern.kconfig?.size ?? 0) - (b.extern.kconfig?.size ?? 0);
  return rank[a.extern.kind] - rank[b.extern.kind] || b.align - a.align || sizes || byName;
}

interface TypeIndex {
  /** First `var` or `func` of each name. */
  readonly byName: ReadonlyMap<string, BtfTypeId>;
  /** First DATASEC that lists a variable or function. */
  readonly sectionOf: ReadonlyMap<BtfTypeId, string>;
}

/** One pass over the types for all externs. */
function externTypes(btf: Btf, names: ReadonlySet<string>): TypeIndex {
  const byName = new Map<string, BtfTypeId>();
  const sectionOf = new Map<BtfTypeId, string>();
  for (let id = 1; id < btf.typeCount; id++) {
    const kind = btf.kindOf(id);
    if (kind === 'var' || kind === 'func') {
      const name = btf.nameOf(id);
      if (names.has(name) && !byName.has(name)) byName.set(name, id);
    } else if (kind === 'datasec') {
      const datasec = btf.type(id);
      if (datasec.kind !== 'datasec') continue;
      for (const { type } of datasec.vars) if (!sectionOf.has(type)) sectionOf.set(type, datasec.name);
    }
  }
  return { byName, sectionOf };
}

function draftOf(sym: Sym, btf: Btf | undefined, types: TypeIndex | undefined): Draft {
  const base = { name: sym.name, symIndex: sym.index, weak: sym.binding === STB_WEAK };
  const btfId = types?.byName.get(sym.name);
  if (btf === undefined || btfId === undefined) {
    return { extern: { ...base, kind: 'unknown', btfId: 0, typeId: 0 }, align: 1 };
  }
  const type = btf.type(btfId);
  if (type.kind !== 'var' && type.kind !== 'func')
    throw new ObjectError('OBJECT_BAD_EXTERN', 'neither variable nor function');
  if (type.linkage !== 2) {
    throw new ObjectError(
      'OBJECT_BAD_EXTERN',
      `the symbol is undefined, but the BTF says that the ${type.kind} is defined here`,
    );
  }
  const section = types?.sectionOf.get(btfId);
  if (section === KSYMS_SECTION) {
    const kind = type.kind === 'func' ? 'kfunc' : 'ksym';
    return { extern: { ...base, kind, btfId, typeId: btf.skipModifiersAndTypedefs(type.type) }, align: 1 };
  }
  if (section !== KCONFIG_SECTION) {
    throw new ObjectError(
      'OBJECT_BAD_EXTERN',
      `extern in section ${section ?? '(none)'}: only .kconfig and .ksyms are known`,
    );
  }
  if (type.kind === 'func') throw new ObjectError('OBJECT_BAD_EXTERN', 'a function cannot be in .kconfig');
  const kconfig = kconfigType(btf, type.type);
  return { extern: { ...base, kind: 'kconfig', btfId, typeId: 0, kconfig }, align: btf.alignOf(type.type) };
}

function kconfigType(btf: Btf, typeId: BtfTypeId): NonNullable<Extern['kconfig']> {
  const size = btf.sizeOf(typeId);
  const found = kconfigKind(btf, typeId);
  if (found === undefined || size === 0) {
    throw new ObjectError(
      'OBJECT_BAD_EXTERN',
      'a .kconfig variable is a bool, tristate, char, integer or char array',
    );
  }
  return { ...found, size, offset: 0 };
}

function kconfigKind(btf: Btf, typeId: BtfTypeId): { kind: KconfigKind; signed: boolean } | undefined {
  const type = btf.underlying(typeId);
  switch (type.kind) {
    case 'int':
      if (type.bool) return type.size === 1 ? { kind: 'bool', signed: false } : undefined;
      if (type.size === 1) return { kind: 'char', signed: type.signed };
      return [2, 4, 8].includes(type.size) ? { kind: 'int', signed: type.signed } : undefined;
    case 'enum':
      return type.size === 4 && type.name === 'libbpf_tristate'
        ? { kind: 'tristate', signed: false }
        : undefined;
    case 'enum64':
      return type.name === 'libbpf_tristate' ? { kind: 'tristate', signed: false } : undefined;
    case 'array':
      return type.count > 0 && kconfigKind(btf, type.type)?.kind === 'char'
        ? { kind: 'string', signed: false }
        : undefined;
    default:
      return undefined;
  }
}
