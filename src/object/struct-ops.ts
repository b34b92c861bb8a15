/**
 * `.struct_ops` variables as maps: each implements a kernel struct of function pointers with programs
 * (libbpf's `init_struct_ops_maps`, `bpf_object__collect_st_ops_relos` and, once the target's types
 * are known, `bpf_map__init_kern_struct_ops`).
 */
import type { AttachType } from '../abi/attach-types.js';
import { MapFlag } from '../abi/map-flags.js';
import { MapType } from '../abi/map-types.js';
import { ProgType } from '../abi/prog-types.js';
import { BpflabError } from '../errors.js';
import { INSN_SIZE } from '../isa/insn.js';
import type { Btf } from './btf/btf.js';
import { essentialName } from './btf/strings.js';
import type { BtfComposite, BtfTypeId } from './btf/types.js';
import { isPointerReloc, relocTypeName, SHT_PROGBITS } from './elf/constants.js';
import { ObjectError } from './errors.js';
import { findFunc } from './functions.js';
import { emptyMap } from './map-def.js';
import type { BpfObject, MapDef, ObjectMap, ProgramDef, Section, StructOps, StructOpsFunc } from './types.js';

const SECTION_NAMES = ['.struct_ops', '.struct_ops.link', '?.struct_ops', '?.struct_ops.link'];

export function isStructOps(section: Section): boolean {
  return section.type === SHT_PROGBITS && section.size > 0 && SECTION_NAMES.includes(section.name);
}

const bad = (detail: string, section: string, symbol?: string): ObjectError =>
  new ObjectError('OBJECT_BAD_STRUCT_OPS', detail, symbol === undefined ? { section } : { section, symbol });

/** What of an object the reading of one section needs; relocations are those of that section. */
export type StructOpsInput = Pick<BpfObject, 'symbols' | 'funcs' | 'programs' | 'relocs'> & {
  readonly btf: Btf;
};

/** The maps of one section, in the order of its BTF description; what is wrong goes to `problems`. */
export function readStructOps(section: Section, input: StructOpsInput, problems: BpflabError[]): ObjectMap[] {
  const { btf } = input;
  const id = btf.findByName(section.name, 'datasec');
  const datasec = id === undefined ? undefined : btf.type(id);
  if (datasec?.kind !== 'datasec') {
    problems.push(bad('the BTF does not describe this section', section.name));
    return [];
  }
  const maps: ObjectMap[] = [];
  for (const entry of datasec.vars) {
    const name = btf.nameOf(entry.type);
    try {
      maps.push(readVariable(section, input, name, entry.type, entry.offset));
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      problems.push(error.within({ section: section.name, symbol: name }));
    }
  }
  return maps;
}

function readVariable(
  section: Section,
  input: StructOpsInput,
  name: string,
  varId: BtfTypeId,
  offset: number,
): ObjectMap {
  const { btf } = input;
  const variable = btf.type(varId);
  if (variable.kind !== 'var') throw bad(`expected a variable, got a ${variable.kind}`, section.name);
  const typeId = btf.skipModifiersAndTypedefs(variable.type);
  const type = btf.type(typeId);
  if (type.kind !== 'struct' || type.name === '')
    throw bad('a struct_ops variable is a named struct', section.name, name);
  if (offset + type.size > section.data.length) {
    throw bad(
      `${type.size} bytes at ${offset} leave the section's ${section.data.length}`,
      section.name,
      name,
    );
  }
  const optional = section.name.startsWith('?');
  const link = section.name.endsWith('.link');
  const structOps: StructOps = {
    typeName: type.name,
    typeId,
    funcs: readFuncs(section, input, name, type, offset),
    data: section.data.slice(offset, offset + type.size),
  };
  const def: MapDef = {
    ...emptyMap(name, section.name),
    origin: 'struct_ops',
    type: MapType.struct_ops,
    keySize: 4,
    valueSize: type.size,
    maxEntries: 1,
    mapFlags: link ? MapFlag.BPF_F_LINK : 0,
    structOps,
    ...(optional ? { autocreate: false } : {}),
  };
  return { def, sectionIndex: section.index, sectionOffset: offset };
}

function readFuncs(
  section: Section,
  input: StructOpsInput,
  name: string,
  type: BtfComposite,
  offset: number,
): StructOpsFunc[] {
  const funcs: StructOpsFunc[] = [];
  const relocs = input.relocs
    .filter((table) => table.target === section.index)
    .flatMap((table) => table.relocs);
  for (const reloc of relocs) {
    const at = reloc.offset - offset;
    if (at < 0 || at >= type.size) continue;
    const member = type.members.find((candidate) => candidate.bitOffset === at * 8);
    if (member === undefined) throw bad(`a relocation at ${reloc.offset} hits no member`, section.name, name);
    if (!isPointerReloc(reloc.type)) {
      throw bad(`a relocation of ${member.name} has type ${relocTypeName(reloc.type)}`, section.name, name);
    }
    const sym = input.symbols[reloc.symIndex];
    if (sym === undefined)
      throw bad(`a relocation names symbol ${reloc.symIndex}, which does not exist`, section.name, name);
    if (!isFuncPointer(input.btf, member.type))
      throw bad(`${member.name} is no pointer to a function`, section.name, name);
    const func = findFunc(input.funcs, sym.sectionIndex, sym.value / INSN_SIZE);
    const program = input.programs.find((candidate) => candidate.func === func);
    if (program?.type !== ProgType.struct_ops) {
      throw bad(
        `${member.name} points to ${sym.name || 'a symbol'}, which is no struct_ops program`,
        section.name,
        name,
      );
    }
    funcs.push({ member: member.name, offset: at, program: program.name });
  }
  return funcs;
}

function isFuncPointer(btf: Btf, typeId: BtfTypeId): boolean {
  const pointer = btf.underlying(typeId);
  if (pointer.kind !== 'ptr') return false;
  return btf.underlying(pointer.type).kind === 'func_proto';
}

/** What the target's types say about struct_ops programs. */
export interface StructOpsTarget {
  /** Id of the kernel's struct. */
  readonly attachBtfId: BtfTypeId;
  /** Index of the member in the kernel's struct: what `expected_attach_type` carries. */
  readonly memberIndex: AttachType;
}

/**
 * Resolves a struct_ops map against the target: its value's size and type, and where each program belongs.
 * Throws `OBJECT_BAD_STRUCT_OPS` where the target does not know the struct or a member that is set.
 */
export function resolveStructOps(
  def: MapDef,
  ops: StructOps,
  target: Btf,
): { def: MapDef; programs: Map<string, StructOpsTarget> } {
  const typeName = essentialName(ops.typeName);
  const valueTypeId = target.findByName(`bpf_struct_ops_${typeName}`, 'struct');
  const typeId = target.findByName(typeName, 'struct');
  const valueType = valueTypeId === undefined ? undefined : target.type(valueTypeId);
  const type = typeId === undefined ? undefined : target.type(typeId);
  if (
    valueTypeId === undefined ||
    typeId === undefined ||
    valueType?.kind !== 'struct' ||
    type?.kind !== 'struct'
  ) {
    throw bad(`the target's BTF has no struct_ops type ${typeName}`, def.section, def.name);
  }
  const programs = new Map<string, StructOpsTarget>();
  for (const func of ops.funcs) {
    const memberIndex = type.members.findIndex((member) => member.name === func.member);
    if (memberIndex < 0)
      throw bad(`the target's ${typeName} has no member ${func.member}`, def.section, def.name);
    programs.set(func.program, { attachBtfId: typeId, memberIndex: memberIndex as AttachType });
  }
  const resolved: MapDef = {
    ...def,
    valueSize: valueType.size,
    structOps: { ...ops, kernelValueTypeId: valueTypeId },
  };
  return { def: resolved, programs };
}

/** Programs that some struct_ops map refers to are loaded exactly where one of those maps is created. */
export function structOpsAutoload(program: ProgramDef, maps: readonly MapDef[]): boolean {
  const users = maps.filter((map) => map.structOps?.funcs.some((func) => func.program === program.name));
  return users.length === 0 ? program.autoload : users.some((map) => map.autocreate !== false);
}
