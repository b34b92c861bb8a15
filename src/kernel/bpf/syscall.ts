/**
 * `bpf()` as a façade: maps and programs by object instead of by file descriptor, keys and values as bytes. What
 * Linux answers with an errno is a negative number here, or a `SyscallError` where something would have been created.
 * Models kernel/bpf/syscall.c of Linux 6.18.
 */
import { Errno } from '../../abi/errno.js';
import { helperById, helperText } from '../../abi/helpers.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import { MapType, mapTypeName } from '../../abi/map-types.js';
import { type ProgType, progTypeName } from '../../abi/prog-types.js';
import {
  BPF_CALL,
  BPF_JMP,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  LD_IMM64,
} from '../../isa/constants.js';
import type { LoadableProgram } from '../../object/types.js';
import { type HelperResolver, type ImmResolver, type Region, VmMemoryError } from '../../vm/index.js';
import { SyscallError, UnsupportedError } from '../errors.js';
import type { Machine } from '../machine.js';
import { ArrayOfMapsMap, ProgArrayMap } from './fd-array.js';
import { HashOfMapsMap } from './hash-of-maps.js';
import type { BpfMap, MapAttr } from './map.js';
import { mapClass } from './map-types.js';
import type { BpfProg } from './prog.js';

/** Resolves helpers for programs of a type. */
export type HelperSets = (type: ProgType) => HelperResolver;

export class BpfSyscalls {
  private readonly progs: BpfProg[] = [];
  /** Where keys and values of system calls are put for the maps to read. */
  private scratch: Region | undefined;

  constructor(
    private readonly kernel: Machine,
    private readonly helpers: HelperSets,
  ) {}

  /** BPF_MAP_CREATE. Throws `SyscallError` with Linux's errno, or `UnsupportedError` for a type that is not there. */
  mapCreate(attr: MapAttr): BpfMap {
    const Class = mapClass(attr.type);
    if (Class === undefined) {
      const what = `map ${attr.name}: map type ${mapTypeName(attr.type)} is not supported`;
      throw new UnsupportedError('UNSUPPORTED_MAP_TYPE', what);
    }
    const direction = MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY;
    if ((attr.mapFlags & direction) === direction) {
      throw SyscallError.of('EINVAL', `map ${attr.name}: BPF_F_RDONLY and BPF_F_WRONLY exclude each other`);
    }
    Class.check(attr);
    try {
      return new Class(attr, this.kernel);
    } catch (error) {
      if (!(error instanceof VmMemoryError)) throw error;
      throw SyscallError.of('ENOMEM', `map ${attr.name}: ${error.detail}`);
    }
  }

  /** BPF_MAP_FREEZE. */
  mapFreeze(map: BpfMap): number {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    map.frozen = true;
    return 0;
  }

  /** BPF_MAP_LOOKUP_ELEM: the value, or a negative errno. */
  mapLookup(map: BpfMap, key: Uint8Array): Uint8Array | number {
    return this.read(map, key, (k, v) => map.sysLookup(k, v));
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  mapLookupAndDelete(map: BpfMap, key: Uint8Array): Uint8Array | number {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    return this.read(map, key, (k, v) => map.sysLookupAndDelete(k, v));
  }

  /** BPF_MAP_UPDATE_ELEM: 0 or a negative errno. */
  mapUpdate(map: BpfMap, key: Uint8Array, value: Uint8Array, flags = 0): number {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    const at = this.stage(map, key);
    if (value.length !== map.syscallValueSize) return -Errno.EINVAL;
    // Only a value with a bpf_spin_lock could allow this, and the helpers that lock are refused at load.
    if ((flags & UpdateFlag.BPF_F_LOCK) !== 0) return -Errno.EINVAL;
    this.kernel.memory.u8.set(value, at.value);
    return map.sysUpdate(at.key, at.value, flags);
  }

  /** BPF_MAP_DELETE_ELEM. */
  mapDelete(map: BpfMap, key: Uint8Array): number {
    if (!this.mayWrite(map)) return -Errno.EPERM;
    return map.sysDelete(this.stage(map, key).key);
  }

  /** BPF_MAP_GET_NEXT_KEY: the key after `key` (undefined: the first), or a negative errno. */
  mapNextKey(map: BpfMap, key?: Uint8Array): Uint8Array | number {
    if ((map.mapFlags & MapFlag.BPF_F_WRONLY) !== 0) return -Errno.EPERM;
    const at = this.stage(map, key ?? new Uint8Array(map.keySize));
    const result = map.nextKey(key === undefined ? 0 : at.key, at.value);
    return result < 0 ? result : this.kernel.memory.u8.slice(at.value, at.value + map.keySize);
  }

  /** All keys and values, in the map's own order. */
  *mapEntries(map: BpfMap): Generator<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
    for (let key = this.mapNextKey(map); typeof key !== 'number'; key = this.mapNextKey(map, key)) {
      const value = this.mapLookup(map, key);
      if (typeof value !== 'number') yield { key, value };
    }
  }

  /** BPF_MAP_UPDATE_ELEM of a map of maps or a program array, whose values are file descriptors. */
  mapUpdateFd(map: BpfMap, index: number, target: BpfMap | BpfProg, flags = 0): number {
    if (map instanceof ProgArrayMap && 'program' in target) return map.setSlot(index, target, flags);
    if ('program' in target) return -Errno.EINVAL;
    if (map instanceof ArrayOfMapsMap) return map.setSlot(index, target, flags);
    if (map instanceof HashOfMapsMap) {
      const key = new Uint8Array(map.keySize);
      new DataView(key.buffer).setUint32(0, index, true);
      const at = this.stage(map, key);
      return map.setMap(at.key, target, flags, at.value);
    }
    return -Errno.EINVAL;
  }

  /**
   * BPF_PROG_LOAD. `maps` are what the program's map references count into. Throws `UnsupportedError` for a helper or
   * kfunc that is not there, `VmProgramError` for instructions that cannot be.
   */
  progLoad(source: LoadableProgram, maps: readonly BpfMap[]): BpfProg {
    const { kernel } = this;
    const used = new Set<BpfMap>();
    const resolveImm: ImmResolver = (kind, imm, nextImm, insn) => {
      const map = maps[imm];
      if ((kind !== BPF_PSEUDO_MAP_FD && kind !== BPF_PSEUDO_MAP_VALUE) || map === undefined) {
        throw new UnsupportedError('UNSUPPORTED_IMM', `constant of kind ${kind} cannot be resolved`, {
          symbol: source.name,
          insn,
        });
      }
      used.add(map);
      if (kind === BPF_PSEUDO_MAP_FD) return map.header.address;
      const value = map.directValue(nextImm);
      if (value >= 0) return kernel.memory.addressOf(value);
      const why = `offset ${nextImm} is not within the value of map ${map.name}`;
      throw SyscallError.of('EINVAL', why, { symbol: source.name, insn });
    };
    this.requireSupported(source);
    const resolver = this.helpers(source.type);
    const program = kernel.engine.load(
      { name: source.name, insns: source.insns, resolveImm },
      { helpers: resolver, checked: kernel.checked },
    );
    for (const map of used) if (map instanceof ProgArrayMap) map.ownerType ??= source.type;
    const prog: BpfProg = {
      id: this.progs.length + 1,
      name: source.name,
      type: source.type,
      expectedAttachType: source.expectedAttachType,
      progFlags: source.progFlags,
      program,
      maps: [...used],
      lineInfo: source.lineInfo,
    };
    this.progs.push(prog);
    return prog;
  }

  /** The program loaded last under a name. */
  progByName(name: string): BpfProg | undefined {
    return this.progs.findLast((prog) => prog.name === name);
  }

  /** Every helper that the program calls has to be there before any of it runs. */
  private requireSupported(source: LoadableProgram): void {
    const resolver = this.helpers(source.type);
    const { insns } = source;
    for (let insn = 0; insn < insns.length; insn++) {
      const { code, src, imm, off } = insns[insn]!;
      if (code === LD_IMM64) insn++;
      if (code !== (BPF_JMP | BPF_CALL)) continue;
      const place = { symbol: source.name, insn };
      if (src === BPF_PSEUDO_KFUNC_CALL) {
        throw new UnsupportedError(
          'UNSUPPORTED_KFUNC',
          `kernel functions (BTF id ${imm}) are not supported`,
          place,
        );
      }
      if (src !== 0 || resolver('helper', imm, off) !== undefined) continue;
      const where =
        helperById(imm) === undefined ? 'no Linux has it' : `not supported for ${progTypeName(source.type)}`;
      throw new UnsupportedError('UNSUPPORTED_HELPER', `helper ${helperText(imm)} is ${where}`, place);
    }
  }

  /** The descriptor that made the map can write, and the map is not frozen. */
  private mayWrite(map: BpfMap): boolean {
    return (map.mapFlags & MapFlag.BPF_F_RDONLY) === 0 && !map.frozen;
  }

  private read(
    map: BpfMap,
    key: Uint8Array,
    fetch: (key: number, value: number) => number,
  ): Uint8Array | number {
    if ((map.mapFlags & MapFlag.BPF_F_WRONLY) !== 0) return -Errno.EPERM;
    const at = this.stage(map, key);
    const result = fetch(at.key, at.value);
    const fds = map.type === MapType.prog_array || map.type === MapType.array_of_maps;
    return result < 0
      ? result
      : this.kernel.memory.u8.slice(at.value, at.value + (fds ? 4 : map.syscallValueSize));
  }

  /** Puts a key into engine memory; the value's place follows it. */
  private stage(map: BpfMap, key: Uint8Array): { readonly key: number; readonly value: number } {
    if (key.length !== map.keySize) {
      throw SyscallError.of('EINVAL', `map ${map.name}: a key has ${map.keySize} bytes, not ${key.length}`);
    }
    const keyRoom = Math.ceil(map.keySize / 8) * 8 + 8;
    const room = keyRoom + Math.max(map.syscallValueSize, map.keySize, 8);
    if (this.scratch === undefined || this.scratch.size < room) {
      if (this.scratch !== undefined) this.kernel.memory.free(this.scratch);
      this.scratch = this.kernel.memory.alloc(room, 'none');
    }
    const at = this.scratch.address32;
    this.kernel.memory.u8.set(key, at);
    return { key: at, value: at + keyRoom };
  }
}
