/**
 * What iterators go over, and the pointers that a program gets for each object. Models the `bpf_iter_reg` of
 * kernel/bpf/{task,map,prog,link,cgroup}_iter.c, kernel/kallsyms.c, net/ipv4/{tcp_ipv4,udp}.c and net/core/sock_map.c.
 */
import { SyscallError } from '../errors.js';
import { Inode } from '../fs/inode.js';
import { KernelObject } from '../lib/kernel-object.js';
import type { Machine } from '../machine.js';
import { InetSock } from '../net/inet-sock.js';
import { TaskImage } from '../sched/task-image.js';
import { stateOf } from './helpers/state.js';
import type { BpfLink } from './link.js';
import type { BpfMap } from './map.js';
import type { BpfProg } from './prog.js';
import { isSockTarget } from './sock-maps.js';

/** Words behind the metadata that the program gets for one object: pointers, numbers. */
export type Item = readonly bigint[];

/** What is iterated over, and how many words the program gets for each. */
export interface Target {
  readonly width: number;
  readonly items: (images: Images, map: BpfMap | undefined) => Iterable<Item>;
  /** The elements of a map: one has to be named. */
  readonly ofMap?: boolean;
}

/** An object of the kernel, as the target's types lay it out. */
class Image extends KernelObject {
  constructor(
    host: Machine,
    struct: string,
    private readonly values: Readonly<Record<string, readonly [value: bigint, size: 1 | 2 | 4 | 8]>>,
    private readonly chars: Readonly<Record<string, string>> = {},
  ) {
    super(host, struct);
  }

  protected override fill(): void {
    for (const [name, [value, size]] of Object.entries(this.values)) this.put(name, value, size);
    for (const [name, text] of Object.entries(this.chars)) this.putText(name, text);
  }

  private putText(name: string, text: string): void {
    [...new TextEncoder().encode(text)].forEach((byte, i) => {
      this.put(name, BigInt(byte), 1, i);
    });
  }
}

const u32 = (value: number): readonly [bigint, 4] => [BigInt(value), 4];
const MAX_NAME = 15;
const MAX_SYMBOL = 127;

/** Images of objects; an object has one. */
export class Images {
  private readonly known = new WeakMap<object, KernelObject>();

  constructor(
    readonly kernel: Machine,
    readonly links: () => readonly BpfLink[],
  ) {}

  map(map: BpfMap): bigint {
    return this.of(map, () => {
      const numbers = {
        id: u32(map.id),
        map_type: u32(map.type),
        key_size: u32(map.keySize),
        value_size: u32(map.valueSize),
        max_entries: u32(map.maxEntries),
        map_flags: u32(map.mapFlags),
      };
      return new Image(this.kernel, 'bpf_map', numbers, { name: map.name.slice(0, MAX_NAME) });
    });
  }

  prog(prog: BpfProg): bigint {
    return this.of(prog, () => {
      const numbers = { id: u32(prog.id), max_ctx_offset: u32(0) };
      const aux = new Image(this.kernel, 'bpf_prog_aux', numbers, { name: prog.name.slice(0, MAX_NAME) });
      return new Image(this.kernel, 'bpf_prog', {
        type: u32(prog.type),
        expected_attach_type: u32(prog.expectedAttachType),
        aux: [aux.address, 8],
      });
    });
  }

  link(link: BpfLink): bigint {
    return this.of(link, () => {
      const members = { id: u32(link.id), prog: [this.prog(link.prog), 8] } as const;
      return new Image(this.kernel, 'bpf_link', members);
    });
  }

  file(file: object): bigint {
    return this.of(file, () => {
      const inode = file instanceof Inode ? file.address : 0n;
      return new Image(this.kernel, 'file', { f_inode: [inode, 8] });
    });
  }

  symbol(name: string, address: bigint): bigint {
    const chars = { name: name.slice(0, MAX_SYMBOL) };
    return new Image(this.kernel, 'kallsym_iter', { value: [address, 8], type: [0x74n, 1] }, chars).address;
  }

  private of(object: object, make: () => KernelObject): bigint {
    let image = this.known.get(object);
    if (image === undefined) {
      image = make();
      this.known.set(object, image);
    }
    return image.address;
  }
}

/** Tasks by pid. */
function* tasks({ kernel }: Images): Iterable<bigint> {
  const { memory, btf, sched } = kernel;
  const living = [...sched.tasks.values()].filter((task) => task.state !== 'dead');
  for (const task of living.sort((a, b) => a.pid - b.pid)) {
    task.image ??= new TaskImage(task.attr, memory, btf);
    yield task.image.address;
  }
}

/** Descriptors are the host's task's: the others have none open. */
function* taskFiles(images: Images): Iterable<Item> {
  const { kernel } = images;
  const { current } = kernel;
  current.image ??= new TaskImage(current.attr, kernel.memory, kernel.btf);
  for (const [fd, file] of kernel.files.entries())
    yield [current.image.address, BigInt(fd), images.file(file)];
}

function* elements(images: Images, map: BpfMap): Iterable<Item> {
  const { memory } = images.kernel;
  const found: Item[] = [];
  map.walk((key, value) => {
    found.push([images.map(map), memory.addressOf(key), memory.addressOf(value)]);
    return false;
  });
  yield* found;
}

/** A key, and the socket there; the key lies where the next one will. */
function* mapSockets(images: Images, map: BpfMap): Iterable<Item> {
  const { memory, executor } = images.kernel;
  if (!isSockTarget(map)) throw SyscallError.of('EINVAL', `map ${map.name} is no map of sockets`);
  const key = memory.alloc(Math.max(map.keySize, 8), 'read');
  try {
    const next = (from: number): boolean => executor.drive(nextKey(map, from, key.address32)) === 0;
    for (let more = next(0); more; more = next(key.address32)) {
      const sock = map.sockAt(key.address32);
      if (sock !== undefined) yield [images.map(map), key.address, sock.address];
    }
  } finally {
    memory.free(key);
  }
}

function* nextKey(map: BpfMap, from: number, to: number) {
  return map.nextKey(from, to);
}

function* sockets({ kernel }: Images, tcp: boolean): Iterable<Item> {
  for (const sock of stateOf(kernel).sockets.sockets) {
    if (!(sock instanceof InetSock) || (tcp ? !sock.isTcp : !sock.isUdp)) continue;
    yield tcp ? [sock.address, BigInt(sock.uid)] : [sock.address, BigInt(sock.uid), 0n];
  }
}

function* each<T>(list: Iterable<T>, word: (item: T) => bigint): Iterable<Item> {
  for (const item of list) yield [word(item)];
}

export const TARGETS: Readonly<Record<string, Target>> = {
  task: { width: 1, items: (images) => each(tasks(images), (task) => task) },
  task_file: { width: 3, items: taskFiles },
  bpf_map: { width: 1, items: (images) => each(images.kernel.allMaps(), (map) => images.map(map)) },
  bpf_map_elem: { width: 3, ofMap: true, items: (images, map) => elements(images, map!) },
  bpf_prog: { width: 1, items: (images) => each(images.kernel.progs, (prog) => images.prog(prog)) },
  bpf_link: {
    width: 1,
    items: (images) =>
      each(
        images.links().filter((link) => link.attached),
        (link) => images.link(link),
      ),
  },
  cgroup: {
    width: 1,
    items: (images) => each(stateOf(images.kernel).cgroups.values(), (group) => group.address),
  },
  ksym: {
    width: 1,
    items: (images) => each(images.kernel.symbols.list(), ([name, at]) => images.symbol(name, at)),
  },
  sockmap: { width: 3, ofMap: true, items: (images, map) => mapSockets(images, map!) },
  tcp: { width: 2, items: (images) => sockets(images, true) },
  udp: { width: 3, items: (images) => sockets(images, false) },
};
