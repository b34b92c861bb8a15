/**
 * Free lists of preallocated elements, one a CPU, each with its lock, and one more that only an NMI uses. An element freed
 * on a CPU is the next that is taken there. Models kernel/bpf/percpu_freelist.c (5.6 to 6.18). Elements are numbered from 1;
 * those never used are handed out without having been on a list.
 */
import type { MapLock } from '../locking/map-lock.js';
import { type Flow, point } from '../sched/flow.js';
import { inNmi } from '../sched/preempt.js';
import type { MapHost } from './map.js';

const POP = '__pcpu_freelist_pop';
const PUSH = '__pcpu_freelist_push';
const UNDER_LOCK = point('under the lock of a free list');

class Head {
  readonly freed: number[] = [];
  private lockObject: MapLock | undefined;

  /** @param next the first element that was never used, @param step between those, @param last the highest */
  constructor(
    private readonly host: MapHost,
    private next: number,
    private readonly step: number,
    private readonly last: number,
  ) {}

  get lock(): MapLock {
    const { profile } = this.host.sched;
    this.lockObject ??= this.host.locks.map(profile.freelistLock, '&head->lock', profile.freelistNmi);
    return this.lockObject;
  }

  get isEmpty(): boolean {
    return this.freed.length === 0 && this.next > this.last;
  }

  /** An element, or 0; with the lock held. */
  pop(): number {
    const again = this.freed.pop();
    if (again !== undefined) return again;
    if (this.next > this.last) return 0;
    const fresh = this.next;
    this.next += this.step;
    return fresh;
  }
}

export class PcpuFreelist {
  private readonly heads: readonly Head[];
  private readonly extra: Head;
  private readonly host: MapHost;
  /** Lists that look empty are passed by without their lock. */
  private readonly peeks: boolean;

  /** @param count number of elements */
  constructor(host: MapHost, count: number) {
    const { cpus } = host;
    this.host = host;
    this.peeks = host.sched.profile.freelistNmi === 'try';
    this.heads = Array.from({ length: cpus }, (_, cpu) => new Head(host, 1 + cpu, cpus, count));
    this.extra = new Head(host, 1, 1, 0);
    this.populate(count);
  }

  /** pcpu_freelist_populate, as far as it takes time: every element of every CPU is put on its list. */
  private populate(count: number): void {
    const { sched } = this.host;
    const off = sched.profile.freelistPopulate === 'irqsOff';
    const before = off && sched.irqSave('pcpu_freelist_populate');
    sched.charge(count * sched.costs.element);
    if (off) sched.irqRestore(before);
  }

  /** A free element from this CPU's list or the next one's that has any; 0 when there is none. */
  popNow(): number {
    const { heads, peeks } = this;
    const first = this.host.cpu;
    for (let i = 0; i < heads.length; i++) {
      const head = heads[(first + i) % heads.length]!;
      if (peeks && head.isEmpty) continue;
      if (head.lock.lockNow(POP) !== 0) continue;
      const elem = head.pop();
      head.lock.unlock();
      if (elem !== 0) return elem;
    }
    return 0;
  }

  *popFlow(): Flow<number> {
    const { heads, peeks } = this;
    const first = this.host.cpu;
    for (let i = 0; i < heads.length; i++) {
      const head = heads[(first + i) % heads.length]!;
      if (peeks && head.isEmpty) continue;
      if ((yield* head.lock.lock(POP)) !== 0) continue;
      if (this.host.sched.interleaved) yield UNDER_LOCK;
      const elem = head.pop();
      head.lock.unlock();
      if (elem !== 0) return elem;
    }
    return peeks ? yield* this.popExtra() : 0;
  }

  pushNow(elem: number): void {
    const head = this.heads[this.host.cpu]!;
    if (head.lock.lockNow(PUSH) !== 0) {
      this.host.executor.drive(this.pushElsewhere(elem));
      return;
    }
    head.freed.push(elem);
    head.lock.unlock();
  }

  *pushFlow(elem: number): Flow<void> {
    if (!(yield* this.pushOn(this.heads[this.host.cpu]!, elem))) yield* this.pushElsewhere(elem);
  }

  private *popExtra(): Flow<number> {
    if (this.extra.isEmpty || (yield* this.extra.lock.lock(POP)) !== 0) return 0;
    const elem = this.extra.pop();
    this.extra.lock.unlock();
    return elem;
  }

  /** This CPU's list cannot be had: another one's, or the extra one. Somebody's lock is let go of in the end. */
  private *pushElsewhere(elem: number): Flow<void> {
    const { heads, host } = this;
    for (;;) {
      for (let i = 1; i <= heads.length; i++) {
        if (yield* this.pushOn(heads[(host.cpu + i) % heads.length]!, elem)) return;
      }
      if (yield* this.pushOn(this.extra, elem)) return;
      if (inNmi(host.sched.here)) host.sched.charge(host.sched.costs.lockHandover);
    }
  }

  private *pushOn(head: Head, elem: number): Flow<boolean> {
    if ((yield* head.lock.lock(PUSH)) !== 0) return false;
    head.freed.push(elem);
    head.lock.unlock();
    return true;
  }
}
