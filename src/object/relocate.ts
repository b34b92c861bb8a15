/**
 * The second of the loader's two steps: an opened object and a target become programs and maps as libbpf
 * would hand them to the kernel (`bpf_object__load` up to the system calls). Strict like libbpf by default;
 * with `keepGoing` whatever works is returned beside what does not.
 */
import { MapType } from '../abi/map-types.js';
import { ProgType } from '../abi/prog-types.js';
import { BpflabError } from '../errors.js';
import type { Btf } from './btf/btf.js';
import { CoreTarget } from './core/target.js';
import { ObjectError } from './errors.js';
import { TEXT_SECTION } from './functions.js';
import { fillKconfig, type KconfigInput, type KconfigResult } from './kconfig.js';
import { Linker } from './link.js';
import { type ExternValue, Patcher } from './patch.js';
import { MAX_OBJECT_INSNS, Preparer } from './prepare.js';
import { attachBtfId, resolveKsym, type SymbolInput } from './resolve.js';
import { resolveStructOps, type StructOpsTarget, structOpsAutoload } from './struct-ops.js';
import type {
  BpfObject,
  Extern,
  FailedProgram,
  LoadableObject,
  LoadableProgram,
  MapDef,
  ProgramDef,
} from './types.js';

export interface RelocateOptions extends KconfigInput, SymbolInput {
  /** Types of the target's modules, split BTF on `targetBtf`; for CO-RE only. */
  readonly moduleBtfs?: readonly Btf[];
  /**
   * Names of the programs wanted; by default all entry programs. A function of `.text` may be named, too, and
   * becomes a program of type `unspec`.
   */
  readonly programs?: readonly string[];
  /** Leave out what cannot be relocated, and say why in `failed`, instead of throwing the first error. */
  readonly keepGoing?: boolean;
  /** Possible CPUs of the target: the size of perf event arrays that name none. */
  readonly cpus?: number;
}

/**
 * Relocates and links an object. Errors of programs that load only on demand (`?` sections) never throw unless
 * the program is named in `programs`; they are listed in `failed`.
 */
export function relocateObject(object: BpfObject, options: RelocateOptions = {}): LoadableObject {
  const keepGoing = options.keepGoing === true;
  const [problem] = object.problems;
  if (problem !== undefined && !keepGoing) throw problem;
  const wanted = selectPrograms(object, options.programs);
  const kconfig = kconfigOf(object, options);
  if (!keepGoing) for (const error of kconfig.missing.values()) throw error.within({ file: object.file });
  const { maps, structOps, failure } = resolveMaps(object, kconfig, options, keepGoing);
  const linker = linkerOf(object, kconfig, options);
  const programs: LoadableProgram[] = [];
  const failed: FailedProgram[] = [];
  let total = 0;
  for (const def of wanted) {
    const { name, section } = def;
    try {
      if (def.type === ProgType.struct_ops && failure.has(name)) throw failure.get(name);
      if (total + def.func.insnCount > MAX_OBJECT_INSNS) throw tooLarge(def, object.file);
      const linked = linker.link(def.func);
      total += linked.insns.length;
      programs.push({ ...programOf(def, maps, structOps, options), ...linked });
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      const optional = !def.autoload && options.programs === undefined;
      if (!keepGoing && !optional) throw error;
      failed.push({ name, section, error });
    }
  }
  return {
    file: object.file,
    endian: object.endian,
    license: object.license,
    kernVersion: object.kernVersion,
    maps,
    programs,
    ...(failed.length === 0 ? {} : { failed }),
    ...(object.btf === undefined ? {} : { btf: object.btf }),
    ...(object.btfExt === undefined ? {} : { btfExt: object.btfExt }),
  };
}

/** Refuses a program whose section name said nothing about its type, with what would mend it. */
export function requireProgramType(program: LoadableProgram, file?: string): void {
  if (program.type !== ProgType.unspec) return;
  throw new ObjectError(
    'OBJECT_NO_PROGRAM_TYPE',
    'the section name does not tell the program type; name the section after one (e.g. "xdp") or give the type',
    { ...(file === undefined ? {} : { file }), section: program.section, symbol: program.name },
  );
}

function selectPrograms(object: BpfObject, names: readonly string[] | undefined): ProgramDef[] {
  if (names === undefined) return [...object.programs];
  return names.map((name) => {
    const known = object.programs.find((program) => program.name === name) ?? textProgram(object, name);
    if (known !== undefined) return known;
    const list = object.programs.map((program) => program.name).join(', ');
    throw new ObjectError('OBJECT_NO_SUCH_PROGRAM', `no program of this name; there are: ${list || 'none'}`, {
      file: object.file,
      symbol: name,
    });
  });
}

function textProgram(object: BpfObject, name: string): ProgramDef | undefined {
  const func = object.funcs.find(
    (candidate) => candidate.section === TEXT_SECTION && candidate.name === name,
  );
  if (func === undefined) return undefined;
  return {
    name,
    section: func.section,
    type: ProgType.unspec,
    expectedAttachType: 0,
    attachBtf: false,
    progFlags: 0,
    autoload: true,
    convention: 'none',
    func,
  };
}

function tooLarge({ section, name }: ProgramDef, file: string): ObjectError {
  const detail = `all programs together exceed ${MAX_OBJECT_INSNS} instructions; name the ones you need`;
  return new ObjectError('OBJECT_TOO_LARGE', detail, { file, section, symbol: name });
}

function kconfigOf(object: BpfObject, options: RelocateOptions): KconfigResult {
  const map = object.maps.find(({ def }) => def.origin === 'kconfig');
  try {
    return fillKconfig(object.externs, map?.def.valueSize ?? 0, object.endian, options);
  } catch (error) {
    if (error instanceof BpflabError) throw error.within({ file: object.file });
    throw error;
  }
}

function linkerOf(object: BpfObject, kconfig: KconfigResult, options: RelocateOptions): Linker {
  const resolved = new Map<Extern, ExternValue>();
  const externValueOf = (extern: Extern): ExternValue => {
    let value = resolved.get(extern);
    if (value === undefined) {
      value = externValue(object, kconfig, options, extern);
      resolved.set(extern, value);
    }
    return value;
  };
  const { targetBtf, moduleBtfs } = options;
  const target = targetBtf === undefined ? undefined : new CoreTarget(targetBtf, moduleBtfs);
  return new Linker(object, new Preparer(object, new Patcher(object, externValueOf), target));
}

function externValue(
  object: BpfObject,
  kconfig: KconfigResult,
  options: RelocateOptions,
  extern: Extern,
): ExternValue {
  if (extern.kind === 'kconfig') return kconfig.missing.get(extern.name) ?? { by: 'kconfig' };
  try {
    return resolveKsym(extern, object.btf, options);
  } catch (error) {
    if (error instanceof BpflabError) return error;
    throw error;
  }
}

interface ResolvedMaps {
  readonly maps: MapDef[];
  /** By program name. */
  readonly structOps: ReadonlyMap<string, StructOpsTarget>;
  readonly failure: ReadonlyMap<string, BpflabError>;
}

function resolveMaps(
  object: BpfObject,
  kconfig: KconfigResult,
  options: RelocateOptions,
  keepGoing: boolean,
): ResolvedMaps {
  const structOps = new Map<string, StructOpsTarget>();
  const failure = new Map<string, BpflabError>();
  const maps = object.maps.map(({ def }): MapDef => {
    if (def.origin === 'kconfig') return { ...def, initialData: kconfig.data };
    const sized = sizePerCpu(def, options.cpus);
    if (sized !== def) return sized;
    const ops = def.structOps;
    if (ops === undefined || options.targetBtf === undefined || def.autocreate === false) return def;
    try {
      const resolved = resolveStructOps(def, ops, options.targetBtf);
      for (const [name, target] of resolved.programs) if (!structOps.has(name)) structOps.set(name, target);
      return resolved.def;
    } catch (error) {
      if (!(error instanceof BpflabError)) throw error;
      const located = error.within({ file: object.file });
      if (!keepGoing) throw located;
      for (const { program } of ops.funcs) failure.set(program, located);
      return def;
    }
  });
  return { maps, structOps, failure };
}

/** Perf event arrays that name no size get one entry a CPU, inner maps too. */
function sizePerCpu(def: MapDef, cpus: number | undefined): MapDef {
  if (cpus === undefined) return def;
  if (def.type === MapType.perf_event_array && def.maxEntries === 0) return { ...def, maxEntries: cpus };
  const inner = def.inner === undefined ? undefined : sizePerCpu(def.inner, cpus);
  return inner === undefined || inner === def.inner ? def : { ...def, inner };
}

type Attributes = Omit<LoadableProgram, 'insns' | 'subProgs' | 'funcInfo' | 'lineInfo'>;

function programOf(
  def: ProgramDef,
  maps: readonly MapDef[],
  structOps: ReadonlyMap<string, StructOpsTarget>,
  options: RelocateOptions,
): Attributes {
  const { name, section, type, attachTarget, progFlags } = def;
  const member = structOps.get(name);
  const attachId = member?.attachBtfId ?? attachBtfId(def, options.targetBtf);
  return {
    name,
    section,
    type,
    expectedAttachType: member?.memberIndex ?? def.expectedAttachType,
    ...(attachTarget === undefined ? {} : { attachTarget }),
    progFlags,
    autoload: type === ProgType.struct_ops ? structOpsAutoload(def, maps) : def.autoload,
    ...(attachId === undefined ? {} : { attachBtfId: attachId }),
  };
}
