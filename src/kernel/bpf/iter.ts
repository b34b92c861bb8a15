/**
 * Iterators: a program runs once for each of the kernel's objects of a kind, and once more at the end without one; what it
 * prints is what reading gives. Models kernel/bpf/bpf_iter.c, task_iter.c and map_iter.c: a program that overflows its
 * buffer begins the object anew with a larger one, nobody keeps it from recursing.
 */
import type { Region } from '../../vm/index.js';
import { SyscallError, UnsupportedError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import { Images, type Item, TARGETS, type Target } from './iter-targets.js';
import type { BpfLink } from './link.js';
import type { BpfMap } from './map.js';
import type { SeqFile } from './run-context.js';
import { runProgFlow } from './run-prog.js';

/** struct bpf_iter_meta: the file, the session, the number of the object. */
const META_SIZE = 24;
const SESSION_AT = 8;
const SEQ_NUM_AT = 16;
/** Room for what is printed of one object: a page at first, doubled as needed. */
const FIRST_ROOM = 4096;
const MAX_ROOM = 1 << 22;

export class Iterators {
  private readonly targets = new WeakMap<
    BpfLink,
    { readonly target: Target; readonly map: BpfMap | undefined }
  >();
  private readonly images: Images;
  private sessions = 0;
  private readonly meta: Region;

  constructor(
    private readonly tracing: Tracing,
    links: () => readonly BpfLink[],
  ) {
    this.meta = tracing.kernel.memory.alloc(META_SIZE, 'read');
    this.images = new Images(tracing.kernel, links);
  }

  /** Throws `UnsupportedError` for a kind of objects that cannot be iterated over here. */
  attach(link: BpfLink, name: string, map: BpfMap | undefined): () => void {
    const target = TARGETS[name];
    const place = { symbol: link.prog.name };
    if (target === undefined) {
      const known = Object.keys(TARGETS).join(', ');
      throw new UnsupportedError(
        'UNSUPPORTED_ATTACH',
        `no iterator over ${name}; there are: ${known}`,
        place,
      );
    }
    if (target.ofMap === true && map === undefined) throw SyscallError.of('EBADF', 'over which map?', place);
    this.targets.set(link, { target, map });
    return () => {
      this.targets.delete(link);
    };
  }

  /** BPF_ITER_CREATE and reading to the end: what the program printed. Throws `SyscallError`. */
  *read(link: BpfLink): Flow<Uint8Array> {
    const found = this.targets.get(link);
    if (found === undefined)
      throw SyscallError.of('EINVAL', 'the link is none of an iterator', { symbol: link.prog.name });
    const { target, map } = found;
    const session = BigInt(++this.sessions);
    const printed: number[] = [];
    let number = 0n;
    for (const item of target.items(this.images, map))
      printed.push(...(yield* this.show(link, session, number++, item)));
    const nothing = Array.from({ length: target.width }, () => 0n);
    printed.push(...(yield* this.show(link, session, number, nothing)));
    return Uint8Array.from(printed);
  }

  /** What the program prints of one object. */
  private *show(link: BpfLink, session: bigint, number: bigint, item: Item): Flow<readonly number[]> {
    const { tracing, meta } = this;
    const { kernel, memory } = tracing;
    const { view } = kernel.memory;
    for (let capacity = FIRST_ROOM; capacity <= MAX_ROOM; capacity *= 2) {
      view.setBigUint64(meta.address32, meta.address, true);
      view.setBigUint64(meta.address32 + SESSION_AT, session, true);
      view.setBigUint64(meta.address32 + SEQ_NUM_AT, number, true);
      const seq: SeqFile = { capacity, data: [], overflowed: false };
      const context = memory.args([meta.address, ...item]);
      kernel.sched.current.rcuDepth++;
      kernel.sched.migrateDisable('bpf_iter_run_prog');
      yield* runProgFlow(kernel, link.prog, { ...tracing.start(context.address), run: { seq } });
      kernel.sched.migrateEnable();
      kernel.sched.current.rcuDepth--;
      memory.give(context);
      if (!seq.overflowed) return seq.data;
    }
    throw SyscallError.of('E2BIG', 'the program prints too much of one object', { symbol: link.prog.name });
  }
}
