/**
 * Which element of an LRU map goes when there is no free one: an active and an inactive list with a reference
 * bit, and in front of the shared lists a free and a pending list a CPU, each with a raw lock. Models
 * kernel/bpf/bpf_lru_list.c of Linux 6.18. Nodes are numbered from 1. Whatever may have to evict is a flow, since the
 * bucket's lock is taken inside the list's; what finds a free node is plain too.
 */
import { SimulationError } from '../errors.js';
import type { RawSpinLock } from '../locking/raw-spinlock.js';
import { type Flow, point, runAtOnce } from '../sched/flow.js';
import type { MapHost } from './map.js';

/** Nodes that a CPU takes from, and looks at in, the shared lists at a time. */
const LOCAL_FREE_TARGET = 128;
const PERCPU_FREE_TARGET = 4;

/** The list that a node is on. Numbers below `LOCAL` are shared lists. */
const ACTIVE = 0;
const INACTIVE = 1;
const FREE = 2;
const LOCAL_FREE = 3;
const LOCAL_PENDING = 4;
const LOCAL = LOCAL_FREE;

/** Takes the element out of its map; false when that cannot be done now. */
export interface Evict {
  now(node: number): boolean;
  flow(node: number): Flow<boolean>;
}

const UNDER_LOCK = point('under the lock of an LRU list');
const POP = 'bpf_lru_pop_free';
const PUSH = 'bpf_lru_push_free';

/** Lists by number; a list's head is a node of its own behind the elements. */
class SharedLists {
  readonly active: number;
  readonly inactive: number;
  readonly free: number;
  activeCount = 0;
  inactiveCount = 0;
  /** Where the next rotation of the inactive list starts. */
  rotation: number;

  constructor(
    first: number,
    readonly lock: RawSpinLock,
  ) {
    this.active = first;
    this.inactive = first + 1;
    this.free = first + 2;
    this.rotation = this.inactive;
  }

  head(type: number): number {
    return type === ACTIVE ? this.active : type === INACTIVE ? this.inactive : this.free;
  }
}

export class LruList {
  private readonly next: Int32Array;
  private readonly prev: Int32Array;
  private readonly type: Uint8Array;
  private readonly ref: Uint8Array;
  private readonly cpuOf: Uint16Array;
  /** One for all CPUs, or one a CPU with BPF_F_NO_COMMON_LRU. */
  private readonly shared: readonly SharedLists[];
  private readonly localFree: readonly number[];
  private readonly localPending: readonly number[];
  private readonly nextSteal: number[] = [];
  private readonly scans: number;
  private readonly target: number;

  private readonly cpus: number;
  private readonly localLocks: readonly RawSpinLock[];

  /** @param perCpu every CPU has lists of its own and never uses another's */
  constructor(
    private readonly host: MapHost,
    count: number,
    private readonly perCpu: boolean,
    private readonly evict: Evict,
  ) {
    const { cpus, locks } = host;
    this.cpus = cpus;
    const heads = 3 * (perCpu ? cpus : 1) + (perCpu ? 0 : 2 * cpus);
    this.next = new Int32Array(1 + count + heads);
    this.prev = new Int32Array(1 + count + heads);
    this.type = new Uint8Array(1 + count).fill(FREE);
    this.ref = new Uint8Array(1 + count);
    this.cpuOf = new Uint16Array(1 + count);
    for (let i = 1 + count; i < this.next.length; i++) this.next[i] = this.prev[i] = i;
    const shared: SharedLists[] = [];
    for (let i = 0; i < (perCpu ? cpus : 1); i++)
      shared.push(new SharedLists(1 + count + 3 * i, locks.raw('&l->lock')));
    this.shared = shared;
    const local = 1 + count + 3 * shared.length;
    const each = Array.from({ length: perCpu ? 0 : cpus }, (_, cpu) => cpu);
    this.localFree = each.map((cpu) => local + 2 * cpu);
    this.localPending = each.map((cpu) => local + 2 * cpu + 1);
    this.localLocks = each.map(() => locks.raw('&loc_l->lock'));
    this.nextSteal = each.slice();
    this.scans = perCpu ? PERCPU_FREE_TARGET : LOCAL_FREE_TARGET;
    this.target = Math.min(Math.max(Math.floor(count / cpus / 2), 1), LOCAL_FREE_TARGET);
    this.populate(count);
  }

  private populate(count: number): void {
    const each = Math.floor(count / this.cpus);
    for (let node = 1; node <= count; node++) {
      const cpu = this.perCpu ? Math.floor((node - 1) / each) : 0;
      this.cpuOf[node] = cpu;
      this.addHead(node, this.shared[cpu]!.free);
    }
  }

  /** A look-up from a program has found the node. */
  touch(node: number): void {
    this.ref[node] = 1;
  }

  /** A node for a new element, evicting if it must; 0 when nothing can be had. */
  popNow(): number {
    const { cpu } = this.host;
    if (!this.perCpu && !this.isEmpty(this.localFree[cpu]!)) {
      const lock = this.localLocks[cpu]!;
      const flags = lock.lockIrqsaveNow(POP);
      const node = this.popLocal(cpu);
      lock.unlockIrqrestore(flags);
      if (node !== 0) return node;
    }
    // Only where nothing can observe it is this not a flow of the caller's.
    return runAtOnce(this.popFlow(), () => {
      throw new SimulationError('SIM_WOULD_WAIT', 'bpf_lru_pop_free waits where nothing can be waited for');
    });
  }

  *popFlow(): Flow<number> {
    return this.perCpu ? yield* this.popPerCpu(this.host.cpu) : yield* this.popCommon(this.host.cpu);
  }

  /** The node's element is no longer in the map. */
  pushNow(node: number): void {
    const cpu = this.cpuOf[node]!;
    if (!this.perCpu && this.type[node] === LOCAL_PENDING) {
      const lock = this.localLocks[cpu]!;
      const flags = lock.lockIrqsaveNow(PUSH);
      const done = this.pushLocal(node, cpu);
      lock.unlockIrqrestore(flags);
      if (done) return;
    }
    const lists = this.shared[this.perCpu ? cpu : 0]!;
    const flags = lists.lock.lockIrqsaveNow(PUSH);
    this.move(lists, node, FREE);
    lists.lock.unlockIrqrestore(flags);
  }

  *pushFlow(node: number): Flow<void> {
    const cpu = this.cpuOf[node]!;
    if (!this.perCpu && this.type[node] === LOCAL_PENDING) {
      const lock = this.localLocks[cpu]!;
      const flags = yield* lock.lockIrqsave(PUSH);
      const done = this.pushLocal(node, cpu);
      lock.unlockIrqrestore(flags);
      if (done) return;
    }
    const lists = this.shared[this.perCpu ? cpu : 0]!;
    const flags = yield* lists.lock.lockIrqsave(PUSH);
    this.move(lists, node, FREE);
    lists.lock.unlockIrqrestore(flags);
  }

  /** Back to the local list, unless somebody has taken it from the pending ones meanwhile. */
  private pushLocal(node: number, cpu: number): boolean {
    if (this.type[node] !== LOCAL_PENDING) return false;
    this.type[node] = LOCAL_FREE;
    this.ref[node] = 0;
    this.moveHead(node, this.localFree[cpu]!);
    return true;
  }

  private *popPerCpu(cpu: number): Flow<number> {
    const lists = this.shared[cpu]!;
    const flags = yield* lists.lock.lockIrqsave(POP);
    if (this.host.sched.interleaved) yield UNDER_LOCK;
    this.rotate(lists);
    if (this.isEmpty(lists.free)) yield* this.shrink(lists, PERCPU_FREE_TARGET, lists.free, FREE);
    let node = 0;
    if (!this.isEmpty(lists.free)) {
      node = this.next[lists.free]!;
      this.ref[node] = 0;
      this.move(lists, node, INACTIVE);
    }
    lists.lock.unlockIrqrestore(flags);
    return node;
  }

  private *popCommon(cpu: number): Flow<number> {
    const lock = this.localLocks[cpu]!;
    const flags = yield* lock.lockIrqsave(POP);
    if (this.host.sched.interleaved) yield UNDER_LOCK;
    let node = this.popLocal(cpu);
    if (node === 0) {
      yield* this.refillLocal(cpu);
      node = this.popLocal(cpu);
    }
    lock.unlockIrqrestore(flags);
    if (node !== 0) return node;
    node = yield* this.steal(cpu);
    if (node === 0) return 0;
    const again = yield* lock.lockIrqsave(POP);
    this.addPending(node, cpu);
    lock.unlockIrqrestore(again);
    return node;
  }

  /** A node of the local free list, which is pending from now on; 0 when there is none. */
  private popLocal(cpu: number): number {
    const node = this.popLocalFree(cpu);
    if (node !== 0) this.addPending(node, cpu);
    return node;
  }

  private addPending(node: number, cpu: number): void {
    this.cpuOf[node] = cpu;
    this.type[node] = LOCAL_PENDING;
    this.ref[node] = 0;
    this.addHead(node, this.localPending[cpu]!);
  }

  /** From the other CPUs' local lists, in turn. */
  private *steal(cpu: number): Flow<number> {
    const first = this.nextSteal[cpu]!;
    let from = first;
    let node = 0;
    do {
      const lock = this.localLocks[from]!;
      const flags = yield* lock.lockIrqsave(POP);
      node = this.popLocalFree(from) || (yield* this.popPending(from));
      lock.unlockIrqrestore(flags);
      from = (from + 1) % this.cpus;
    } while (node === 0 && from !== first);
    this.nextSteal[cpu] = from;
    return node;
  }

  private popLocalFree(cpu: number): number {
    const head = this.localFree[cpu]!;
    const node = this.next[head]!;
    if (node === head) return 0;
    this.unlink(node);
    return node;
  }

  /** A free slot by evicting: in plain code where nothing watches. */
  private *evicted(node: number): Flow<boolean> {
    return this.host.sched.quiet ? this.evict.now(node) : yield* this.evict.flow(node);
  }

  /** Oldest first; unreferenced ones before any referenced one. */
  private *popPending(cpu: number): Flow<number> {
    const head = this.localPending[cpu]!;
    for (const force of [false, true]) {
      for (let node = this.prev[head]!; node !== head; node = this.prev[node]!) {
        if ((this.ref[node] === 0 || force) && (yield* this.evicted(node))) {
          this.unlink(node);
          return node;
        }
      }
    }
    return 0;
  }

  private *refillLocal(cpu: number): Flow<void> {
    const lists = this.shared[0]!;
    const flags = yield* lists.lock.lockIrqsave(POP);
    const local = this.localFree[cpu]!;
    this.flushPending(lists, cpu);
    this.rotate(lists);
    let taken = 0;
    for (let node = this.next[lists.free]!; node !== lists.free && taken < this.target; taken++) {
      const following = this.next[node]!;
      this.moveToFree(lists, node, local, LOCAL_FREE);
      node = following;
    }
    this.charge(taken);
    if (taken < this.target) yield* this.shrink(lists, this.target - taken, local, LOCAL_FREE);
    lists.lock.unlockIrqrestore(flags);
  }

  private flushPending(lists: SharedLists, cpu: number): void {
    const head = this.localPending[cpu]!;
    let seen = 0;
    for (let node = this.prev[head]!; node !== head; seen++) {
      const following = this.prev[node]!;
      const type = this.ref[node] === 1 ? ACTIVE : INACTIVE;
      this.count(lists, type, 1);
      this.type[node] = type;
      this.ref[node] = 0;
      this.moveHead(node, lists.head(type));
      node = following;
    }
    this.charge(seen);
  }

  /** The time that looking at so many nodes takes. */
  private charge(nodes: number): void {
    const { sched } = this.host;
    sched.charge(nodes * sched.costs.element);
  }

  private rotate(lists: SharedLists): void {
    if (lists.inactiveCount < lists.activeCount) this.rotateActive(lists);
    this.rotateInactive(lists);
  }

  /** From the tail: a referenced node gets another round, others become inactive. */
  private rotateActive(lists: SharedLists): void {
    const head = lists.active;
    const first = this.next[head]!;
    let seen = 0;
    for (let node = this.prev[head]!; node !== head; ) {
      const following = this.prev[node]!;
      this.move(lists, node, this.ref[node] === 1 ? ACTIVE : INACTIVE);
      if (++seen === this.scans || node === first) break;
      node = following;
    }
    this.charge(seen);
  }

  /** Referenced nodes become active; the next rotation goes on where this one ends. */
  private rotateInactive(lists: SharedLists): void {
    const head = lists.inactive;
    if (this.isEmpty(head)) return;
    let last = this.next[lists.rotation]!;
    if (last === head) last = this.next[last]!;
    let current = lists.rotation;
    let following = head;
    let seen = 0;
    while (seen < this.scans) {
      if (current === head) {
        current = this.prev[current]!;
        continue;
      }
      following = this.prev[current]!;
      const node = current;
      if (this.ref[node] === 1) this.move(lists, node, ACTIVE);
      if (node === last) break;
      current = following;
      seen++;
    }
    lists.rotation = following;
    this.charge(seen);
  }

  /** Frees unreferenced inactive nodes; if there are none, one node whatever its reference says. */
  private *shrink(lists: SharedLists, wanted: number, target: number, type: number): Flow<void> {
    if ((yield* this.shrinkInactive(lists, wanted, target, type)) > 0) return;
    const head = this.isEmpty(lists.inactive) ? lists.active : lists.inactive;
    for (let node = this.prev[head]!; node !== head; node = this.prev[node]!) {
      if (!(yield* this.evicted(node))) continue;
      this.moveToFree(lists, node, target, type);
      return;
    }
  }

  private *shrinkInactive(lists: SharedLists, wanted: number, target: number, type: number): Flow<number> {
    const head = lists.inactive;
    let freed = 0;
    let seen = 0;
    for (let node = this.prev[head]!; node !== head; ) {
      const following = this.prev[node]!;
      this.charge(1);
      if (this.ref[node] === 1) {
        this.move(lists, node, ACTIVE);
      } else if (yield* this.evicted(node)) {
        this.moveToFree(lists, node, target, type);
        if (++freed === wanted) break;
      }
      if (++seen === this.scans) break;
      node = following;
    }
    return freed;
  }

  /** Between shared lists. */
  private move(lists: SharedLists, node: number, type: number): void {
    const from = this.type[node]!;
    if (from !== type) {
      this.count(lists, from, -1);
      this.count(lists, type, 1);
      this.type[node] = type;
    }
    this.ref[node] = 0;
    if (node === lists.rotation) lists.rotation = this.prev[node]!;
    this.moveHead(node, lists.head(type));
  }

  private moveToFree(lists: SharedLists, node: number, target: number, type: number): void {
    if (node === lists.rotation) lists.rotation = this.prev[node]!;
    this.count(lists, this.type[node]!, -1);
    this.type[node] = type;
    this.moveHead(node, target);
  }

  private count(lists: SharedLists, type: number, by: number): void {
    if (type >= LOCAL) return;
    if (type === ACTIVE) lists.activeCount += by;
    else if (type === INACTIVE) lists.inactiveCount += by;
  }

  private isEmpty(head: number): boolean {
    return this.next[head] === head;
  }

  private unlink(node: number): void {
    const { next, prev } = this;
    next[prev[node]!] = next[node]!;
    prev[next[node]!] = prev[node]!;
  }

  private addHead(node: number, head: number): void {
    const { next, prev } = this;
    const first = next[head]!;
    next[node] = first;
    prev[node] = head;
    prev[first] = node;
    next[head] = node;
  }

  private moveHead(node: number, head: number): void {
    this.unlink(node);
    this.addHead(node, head);
  }
}
