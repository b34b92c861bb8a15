/**
 * An object, loaded and ready to run: its maps created, its programs in the engine, what user space would set up (program
 * arrays, inner maps, output events) in place. Programs can be test-run, or attached and left to the kernel's events.
 */
import { MapType } from '../abi/map-types.js';
import type { ProgType } from '../abi/prog-types.js';
import type { Btf } from '../object/btf/btf.js';
import { takesBtf } from '../object/map-def.js';
import type { LoadableObject, LoadableProgram, MapDef } from '../object/types.js';
import { requestOf } from '../verifier/from-object.js';
import { ArenaMap } from './bpf/arena.js';
import { ArrayMap } from './bpf/arraymap.js';
import type { AttachTarget } from './bpf/attach-target.js';
import { ArrayOfMapsMap, PerfEventArrayMap, ProgArrayMap } from './bpf/fd-array.js';
import type { BpfLink } from './bpf/link.js';
import type { BpfMap, MapAttr } from './bpf/map.js';
import type { BpfProg } from './bpf/prog.js';
import { RingbufMap } from './bpf/ringbuf.js';
import type { BpfSyscalls } from './bpf/syscall.js';
import { testRun } from './bpf/test-run.js';
import type { TestRunAttr, TestRunResult } from './bpf/test-run-types.js';
import type { Verdicts } from './bpf/verdicts.js';
import { SyscallError, UnsupportedError } from './errors.js';
import type { Machine } from './machine.js';

/** A kernel that an object can be loaded into. */
export interface LoadingKernel extends Machine {
  readonly bpf: BpfSyscalls;
  attach(prog: BpfProg, target?: AttachTarget | string): BpfLink;
}

export interface LoadObjectOptions {
  /** Types for programs whose section name says none, or another one, by program name. */
  readonly progTypes?: Readonly<Record<string, ProgType>>;
  /** What is known of the programs from kernels like this one. */
  readonly verdicts?: Verdicts;
}

/** A key or a value: bytes, or a number that takes as many of them as there are, the lowest first. */
export type MapData = Uint8Array | number | bigint;

/** A record that a program sent to user space. */
export interface OutputRecord {
  /** The ring buffer or perf event array. */
  readonly map: string;
  readonly data: Uint8Array;
  /** CPU of the perf event; absent for ring buffers. */
  readonly cpu?: number;
}

export class LoadedObject<K extends LoadingKernel = LoadingKernel> {
  private readonly progs = new Map<string, BpfProg>();

  /** @internal Made by `loadObject`. */
  constructor(
    readonly kernel: K,
    readonly object: LoadableObject,
    readonly maps: readonly BpfMap[],
    private readonly options: LoadObjectOptions,
  ) {}

  /** Map by its name in the object. Throws `SyscallError` (ENOENT) for a name that is not there. */
  map(name: string): BpfMap {
    const at = this.object.maps.findIndex((def) => def.name === name);
    if (at < 0) throw SyscallError.of('ENOENT', `the object has no map ${name}`, { file: this.object.file });
    return this.maps[at]!;
  }

  /** Program by name, loaded when first asked for. */
  prog(name: string): BpfProg {
    const loaded = this.progs.get(name);
    if (loaded !== undefined) return loaded;
    const source = this.object.programs.find((program) => program.name === name);
    if (source === undefined) {
      throw SyscallError.of('ENOENT', `the object has no program ${name}`, { file: this.object.file });
    }
    const typed = this.typed(source);
    const { kernel, object } = this;
    const { btf, license } = object;
    const { verdicts } = this.options;
    const prog = kernel.bpf.progLoad(typed, this.maps, {
      license,
      ...(btf !== undefined && { btf }),
      ...(verdicts !== undefined && { verdicts }),
      // Not made where the verdict is known.
      get request() {
        return requestOf(object, typed, kernel.btf === undefined ? {} : { policy: { vmlinux: kernel.btf } });
      },
    });
    this.progs.set(name, prog);
    for (const map of prog.maps) if (map instanceof ProgArrayMap) this.fillProgArray(map);
    return prog;
  }

  /** BPF_PROG_TEST_RUN. */
  run(name: string, attr: TestRunAttr = {}): TestRunResult {
    return testRun(this.kernel, this.prog(name), attr);
  }

  /**
   * Attaches a program to its target, or, without one, to where its section name says. Throws `SyscallError` for a target
   * that is not there.
   */
  attach(name: string, target?: AttachTarget | string): BpfLink {
    return this.kernel.attach(this.prog(name), target);
  }

  /** Value at a key as a system call sees it; undefined where there is none. */
  lookup(map: string, key: MapData): Uint8Array | undefined {
    const found = this.map(map);
    const value = this.kernel.bpf.mapLookup(found, bytesOf(key, found.keySize));
    return typeof value === 'number' ? undefined : value;
  }

  /** The value at a key as an unsigned number of up to 8 bytes, that of all CPUs together; undefined where there is none. */
  number(map: string, key: MapData): number | undefined {
    const value = this.lookup(map, key);
    if (value === undefined) return undefined;
    const { perCpu, valueSize } = this.map(map);
    const stride = perCpu ? Math.ceil(valueSize / 8) * 8 : value.length;
    let sum = 0;
    for (let at = 0; at < value.length; at += stride) sum += numberOf(value.subarray(at, at + valueSize));
    return sum;
  }

  /** 0 or a negative errno. */
  update(map: string, key: MapData, value: MapData, flags = 0): number {
    const found = this.map(map);
    const bytes = bytesOf(value, found.syscallValueSize);
    return this.kernel.bpf.mapUpdate(found, bytesOf(key, found.keySize), bytes, flags);
  }

  /** Keys and values in the map's order. */
  entries(map: string): { readonly key: Uint8Array; readonly value: Uint8Array }[] {
    return [...this.kernel.bpf.mapEntries(this.map(map))];
  }

  /** Takes what programs have sent to user space since the last call, map by map. */
  drain(): OutputRecord[] {
    const records: OutputRecord[] = [];
    for (const [i, map] of this.maps.entries()) {
      const { name } = this.object.maps[i]!;
      if (map instanceof RingbufMap) for (const data of map.consume()) records.push({ map: name, data });
      if (!(map instanceof PerfEventArrayMap)) continue;
      for (const event of map.slots) {
        for (const data of event?.samples.splice(0) ?? []) records.push({ map: name, data, cpu: event!.cpu });
      }
    }
    return records;
  }

  /** Puts what user space or the object's initial values would into maps that hold maps and events. */
  setUp(): void {
    for (const [i, map] of this.maps.entries()) {
      const def = this.object.maps[i]!;
      if (map instanceof PerfEventArrayMap) this.openEvents(map);
      if (!(map instanceof ArrayOfMapsMap) && map.type !== MapType.hash_of_maps) continue;
      for (const { index, target } of def.initialSlots ?? []) {
        check(this.kernel.bpf.mapUpdateFd(map, index, this.map(target)), `map ${def.name}, slot ${index}`);
      }
    }
  }

  private openEvents(map: PerfEventArrayMap): void {
    const count = Math.min(map.maxEntries, this.kernel.cpus);
    for (let cpu = 0; cpu < count; cpu++) map.setSlot(cpu, { cpu, samples: [] });
  }

  private fillProgArray(map: ProgArrayMap): void {
    const def = this.object.maps[this.maps.indexOf(map)]!;
    for (const { index, target } of def.initialSlots ?? []) {
      if (map.slots[index] !== undefined) continue;
      check(map.setSlot(index, this.prog(target)), `map ${def.name}, slot ${index}, program ${target}`);
    }
  }

  private typed(source: LoadableProgram): LoadableProgram {
    const type = this.options.progTypes?.[source.name];
    return type === undefined ? source : { ...source, type };
  }
}

/**
 * Creates an object's maps and fills global data. Programs are loaded as they are asked for. Throws `SyscallError` for
 * a map that Linux would refuse, `UnsupportedError` for what this kernel does not have.
 */
export function loadObject<K extends LoadingKernel>(
  kernel: K,
  object: LoadableObject,
  options: LoadObjectOptions = {},
): LoadedObject<K> {
  if (object.endian !== 'little') {
    throw new UnsupportedError('UNSUPPORTED_INPUT', 'big-endian programs cannot run here', {
      file: object.file,
    });
  }
  const maps = object.maps.map((def) => createMap(kernel, def, object.btf));
  const loaded = new LoadedObject(kernel, object, maps, options);
  loaded.setUp();
  return loaded;
}

/** Little-endian bytes of a number; bytes as they are. */
export function bytesOf(data: MapData, size: number): Uint8Array {
  if (data instanceof Uint8Array) return data;
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(64, BigInt(data));
  for (let i = 0; i < size && rest !== 0n; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

function numberOf(bytes: Uint8Array): number {
  let value = 0n;
  for (let i = Math.min(bytes.length, 8) - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return Number(value);
}

function attrOf(kernel: LoadingKernel, def: MapDef, btf: Btf | undefined): MapAttr {
  const structOps = def.structOps?.kernelValueTypeId;
  return {
    name: def.name,
    type: def.type,
    keySize: def.keySize,
    valueSize: def.valueSize,
    // libbpf sizes an event array without a size for all CPUs.
    maxEntries: def.maxEntries === 0 && def.type === MapType.perf_event_array ? kernel.cpus : def.maxEntries,
    mapFlags: def.mapFlags,
    mapExtra: def.mapExtra,
    ...(def.numaNode === 0 ? {} : { numaNode: def.numaNode }),
    ...(def.inner === undefined ? {} : { inner: createMap(kernel, def.inner, btf) }),
    ...(structOps === undefined ? {} : { btfVmlinuxValueTypeId: structOps }),
  };
}

/** With types of key and value first; where the kernel does not take them without, as libbpf does. */
function createMap(kernel: LoadingKernel, def: MapDef, btf: Btf | undefined): BpfMap {
  const attr = attrOf(kernel, def, btf);
  const typed = btf !== undefined && def.btfValueTypeId !== 0 && takesBtf(def.type);
  const map = typed ? createTyped(kernel, def, attr, btf) : kernel.bpf.mapCreate(attr);
  const { initialData } = def;
  if (initialData !== undefined && (map instanceof ArrayMap || map instanceof ArenaMap))
    map.initialize(initialData);
  if (def.frozen) kernel.bpf.mapFreeze(map);
  return map;
}

function createTyped(kernel: LoadingKernel, def: MapDef, attr: MapAttr, btf: Btf): BpfMap {
  const { btfKeyTypeId, btfValueTypeId } = def;
  try {
    return kernel.bpf.mapCreate({ ...attr, btf, btfKeyTypeId, btfValueTypeId });
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return kernel.bpf.mapCreate(attr);
  }
}

function check(result: number, what: string): void {
  if (result < 0) throw SyscallError.of('EINVAL', `${what}: the initial value does not fit`);
}
