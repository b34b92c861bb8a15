/** Runs a scenario (`map-scenario.ts`) on the simulated kernel. */
import { MapType } from '../../../src/abi/map-types.js';
import type { ProgType } from '../../../src/abi/prog-types.js';
import { decodeInsns } from '../../../src/isa/index.js';
import type { BpfMap } from '../../../src/kernel/bpf/map.js';
import type { BatchResult } from '../../../src/kernel/bpf/map-batch.js';
import type { BpfProg } from '../../../src/kernel/bpf/prog.js';
import { RingbufMap } from '../../../src/kernel/bpf/ringbuf.js';
import { testRun } from '../../../src/kernel/bpf/test-run.js';
import { Cgroup } from '../../../src/kernel/cgroup/cgroup.js';
import { SyscallError } from '../../../src/kernel/errors.js';
import { Inode } from '../../../src/kernel/fs/inode.js';
import { Kernel } from '../../../src/kernel/kernel.js';
import { Sock, SocketFamily, SocketProtocol, SocketState, SocketType } from '../../../src/kernel/net/sock.js';
import { DEFAULT_TASK, Task } from '../../../src/kernel/sched/task.js';
import { Btf } from '../../../src/object/btf/btf.js';
import type {
  Scenario,
  ScenarioAnswer,
  ScenarioMap,
  ScenarioObject,
  ScenarioOp,
  Shown,
} from './map-scenario.js';

const PROG_IDS: readonly number[] = [MapType.prog_array];
const MAP_IDS: readonly number[] = [MapType.array_of_maps, MapType.hash_of_maps];
const COOKIES: readonly number[] = [MapType.sockmap, MapType.sockhash, MapType.reuseport_sockarray];
const DEVICES: readonly number[] = [MapType.devmap, MapType.cpumap, MapType.devmap_hash];
const BUCKETS: readonly number[] = [
  MapType.hash,
  MapType.percpu_hash,
  MapType.lru_hash,
  MapType.lru_percpu_hash,
  MapType.hash_of_maps,
];
const CLOSED_FD = 9999;
const LOOPBACK = 1;

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

class Runner {
  readonly kernel: Kernel;
  readonly maps: BpfMap[] = [];
  readonly progs: BpfProg[] = [];
  readonly fds = new Map<string, number>([['none', CLOSED_FD]]);
  /** What ids and cookies stand for, by kind and number. */
  readonly names = new Map<string, string>();
  readonly next = new Map<number, string>();
  io: BpfMap | undefined;
  private cookies = 1n;

  constructor(cpus: number, interleaved = false) {
    this.kernel = new Kernel({ cpus, interleaved });
    this.kernel.devices = new Set([LOOPBACK]);
  }

  addObject(name: string, object: ScenarioObject): void {
    this.fds.set(name, this.kernel.files.open(this.objectOf(name, object)));
  }

  private objectOf(name: string, object: ScenarioObject): object {
    const { kernel } = this;
    switch (object.kind) {
      case 'file':
        return new Inode(kernel, 12n);
      case 'pid':
        return new Task(DEFAULT_TASK);
      case 'cgroup':
        return new Cgroup(kernel, BigInt(object.number + 1));
      case 'event':
        return { cpu: object.cpu, samples: [] };
      default:
        return this.sockOf(name, object);
    }
  }

  private sockOf(name: string, object: ScenarioObject): Sock {
    const cookie = this.cookies++;
    this.names.set(`c${cookie}`, name);
    const { AF_INET, AF_UNIX, AF_XDP } = SocketFamily;
    const { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW } = SocketType;
    const make = (family: number, type: number, protocol = 0, more = {}): Sock =>
      new Sock(this.kernel, { family, type, protocol, ...more }, cookie);
    switch (object.kind) {
      case 'udp':
        return make(AF_INET, SOCK_DGRAM, SocketProtocol.IPPROTO_UDP, {
          bound: object.bound ?? false,
          reusePort: object.reuse ?? false,
        });
      case 'tcp': {
        const { listen, connected } = object;
        const state =
          listen === true
            ? SocketState.LISTEN
            : connected === true
              ? SocketState.ESTABLISHED
              : SocketState.CLOSE;
        return make(AF_INET, SOCK_STREAM, SocketProtocol.IPPROTO_TCP, {
          state,
          reusePort: object.reuse ?? false,
        });
      }
      case 'unix':
        return make(AF_UNIX, SocketType[object.type]);
      case 'unixpair':
        return make(AF_UNIX, SocketType[object.type], 0, { state: SocketState.ESTABLISHED });
      case 'xdp':
        return make(AF_XDP, SOCK_RAW);
      default:
        return make(16, SOCK_RAW);
    }
  }

  addMap(index: number, map: ScenarioMap): number {
    const { kernel } = this;
    try {
      const made = kernel.bpf.mapCreate({
        name: `m${index}`,
        type: map.type as MapType,
        keySize: map.key,
        valueSize: map.value,
        maxEntries: map.max,
        mapFlags: map.flags,
        mapExtra: BigInt(map.extra ?? 0),
        ...((map.flags & 4) !== 0 && { numaNode: map.numa ?? 0 }),
        ...(map.inner !== undefined && { inner: this.maps[map.inner]! }),
        ...(map.btf !== undefined && {
          btf: Btf.parse(bytes(map.btf)),
          btfKeyTypeId: map.btf_key ?? 0,
          btfValueTypeId: map.btf_value ?? 0,
        }),
      });
      this.maps.push(made);
      this.names.set(`m${made.id}`, `map${index}`);
      this.fds.set(`map${index}`, kernel.files.open(made));
      if (map.io === true) this.io = made;
      return 0;
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      return -error.errno;
    }
  }

  addProg(
    index: number,
    prog: { readonly type: number; readonly attach?: number; readonly insns: string },
  ): void {
    const source = {
      name: `p${index}`,
      section: '',
      type: prog.type as ProgType,
      expectedAttachType: (prog.attach ?? 0) as 0,
      progFlags: 0,
      autoload: true,
      subProgs: [],
      funcInfo: [],
      lineInfo: [],
      insns: decodeInsns(bytes(prog.insns), 'little'),
    };
    const made = this.kernel.bpf.progLoad(source, this.maps, { license: 'GPL' });
    this.progs.push(made);
    this.names.set(`p${made.id}`, `prog${index}`);
    this.fds.set(`prog${index}`, this.kernel.files.open(made));
  }

  parse(text: string): Uint8Array {
    const parts = text.split('+').map((part) => {
      const [kind, name] = part.split(':');
      if (name === undefined) return Buffer.from(part, 'hex');
      const out = Buffer.alloc(kind === 'fd8' ? 8 : 4);
      out.writeInt32LE(this.fds.get(name)!, 0);
      return out;
    });
    return new Uint8Array(Buffer.concat(parts));
  }

  private show(map: BpfMap, value: Uint8Array | number): Shown {
    if (typeof value === 'number') return value;
    const view = new DataView(value.buffer, value.byteOffset, value.length);
    const named = (kind: string, number: number | bigint) =>
      `id:${this.names.get(kind + number) ?? `?${number}`}`;
    if (PROG_IDS.includes(map.type)) return named('p', view.getUint32(0, true));
    if (MAP_IDS.includes(map.type)) return named('m', view.getUint32(0, true));
    if (COOKIES.includes(map.type)) return named('c', view.getBigUint64(0, true));
    if (DEVICES.includes(map.type) && value.length === 8) {
      const program = view.getUint32(4, true);
      return `${hex(value.subarray(0, 4))}+${program === 0 ? 'id:none' : named('p', program)}`;
    }
    if (!map.perCpu) return hex(value);
    // What rounds a value up to 8 bytes may be anything.
    const step = Math.ceil(map.valueSize / 8) * 8;
    let text = '';
    for (let at = 0; at < value.length; at += step) text += hex(value.subarray(at, at + map.valueSize));
    return text;
  }

  op(op: ScenarioOp): Shown {
    const { bpf } = this.kernel;
    switch (op[0]) {
      case 'c':
        this.kernel.cpu = op[1];
        return 0;
      case 'p':
        return this.program(op[1], op[2], op[3]);
      case 'rc':
        return this.maps
          .filter((map) => map instanceof RingbufMap)
          .flatMap((map) => map.consume())
          .map(hex);
      default:
    }
    const map = this.maps[op[1]]!;
    switch (op[0]) {
      case 'u':
        return bpf.mapUpdate(map, this.parse(op[2]), this.parse(op[3]), op[4]);
      case 'l':
        return this.show(
          map,
          bpf.mapLookup(map, this.parse(op[2]), op[3], op[4] === undefined ? undefined : bytes(op[4])),
        );
      case 'x':
        return this.show(map, bpf.mapLookupAndDelete(map, this.parse(op[2]), op[3]));
      case 'd':
        return bpf.mapDelete(map, this.parse(op[2]));
      case 'n': {
        const key = bpf.mapNextKey(map, op[2] === null ? undefined : this.parse(op[2]));
        return typeof key === 'number' ? key : hex(key);
      }
      case 'f':
        return bpf.mapFreeze(map);
      case 'i': {
        const info = bpf.mapInfo(map);
        return [info.type, info.keySize, info.valueSize, info.maxEntries, info.mapFlags];
      }
      case 'bu': {
        const keys = op[2].map((key) => this.parse(key));
        const values = op[3].map((value) => this.parse(value));
        const { errno, count } = bpf.mapUpdateBatch(map, keys, values, op[4]);
        return [errno, count];
      }
      case 'bd': {
        const { errno, count } = bpf.mapDeleteBatch(
          map,
          op[2].map((key) => this.parse(key)),
          op[4],
        );
        return [errno, count];
      }
      default:
        return this.readBatch(op, map);
    }
  }

  private readBatch(op: readonly ['bl' | 'bx', number, string | null, number, number], map: BpfMap): Shown {
    const [what, at, start, count, flags] = op;
    const token = start === 'next' ? this.next.get(at) : (start ?? undefined);
    const from = token === undefined ? undefined : bytes(token);
    const { bpf } = this.kernel;
    const result: BatchResult =
      what === 'bl'
        ? bpf.mapLookupBatch(map, from, count, flags)
        : bpf.mapLookupAndDeleteBatch(map, from, count, flags);
    const { errno } = result;
    if (errno < 0 && errno !== -2) return [errno];
    if ((result.count > 0 || errno === 0) && result.next !== undefined) {
      this.next.set(at, hex(result.next.subarray(0, BUCKETS.includes(map.type) ? 4 : map.keySize)));
    }
    const entries = result.keys.map((key, i) => [hex(key), this.show(map, result.values[i]!)]);
    return [errno, result.count, entries];
  }

  private program(index: number, data: string, length: number): Shown {
    const { memory } = this.kernel;
    const at = this.io!.directValue(0);
    memory.u8.set(this.parse(data), at);
    const { retval } = testRun(this.kernel, this.progs[index]!, { dataIn: new Uint8Array(64) });
    return [retval, hex(memory.u8.slice(at, at + length))];
  }
}

/** Creates maps one by one in one kernel and lets go of them: errnos. */
export function createOurs(maps: readonly ScenarioMap[], cpus: number): number[] {
  const runner = new Runner(cpus);
  return maps.map((map, i) => {
    const errno = runner.addMap(i, map);
    runner.maps.pop()?.release();
    return errno;
  });
}

/** @param cpus as many as the running kernel has, @param interleaved operations take the way through flows */
export function runOurs(scenario: Scenario, cpus: number, interleaved = false): ScenarioAnswer {
  const runner = new Runner(cpus, interleaved);
  if (scenario.noBpfLsm === true) runner.kernel.bpfLsm = false;
  for (const [name, object] of Object.entries(scenario.objects ?? {})) runner.addObject(name, object);
  const created = scenario.maps.map((map, i) => runner.addMap(i, map));
  if (created.some((errno) => errno !== 0)) return { created, results: [] };
  scenario.progs?.forEach((prog, i) => {
    runner.addProg(i, prog);
  });
  return { created, results: scenario.ops.map((op) => runner.op(op)) };
}
