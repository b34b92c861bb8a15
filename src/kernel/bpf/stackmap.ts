/**
 * Stack traces by number. The number is the slot that the trace's hash picks; a slot holds one trace, in a bucket from a
 * free list with a lock. With BPF_F_STACK_BUILD_ID frames of user space are stored as build id and offset where they can
 * be resolved in the context at hand, else as addresses. Models kernel/bpf/stackmap.c (5.6 to 6.18).
 */

import { Errno } from '../../abi/errno.js';
import { MapFlag, StackFlag } from '../../abi/map-flags.js';
import { sameBytes } from '../lib/bytes.js';
import { jhash2 } from '../lib/jhash.js';
import type { Flow } from '../sched/flow.js';
import { BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory } from './map.js';
import { holdMappings } from './mmap-unlock.js';
import { PcpuFreelist } from './percpu-freelist.js';

const CREATE_FLAGS =
  MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY | MapFlag.BPF_F_STACK_BUILD_ID;
/** Deepest stack that is recorded (kernel.perf_event_max_stack). */
export const MAX_STACK_DEPTH = 127;

/** sizeof(struct bpf_stack_build_id): status, build id of 20 bytes, offset or address. */
const BUILD_ID_SIZE = 32;
const BUILD_ID_BYTES = 20;
/** `enum bpf_stack_build_id_status`. */
const BuildIdStatus = { valid: 1, ip: 2 } as const;

/** Where an address of user space lies in a file. */
export interface BuildIdPlace {
  /** 20 bytes. */
  readonly buildId: Uint8Array;
  /** Offset in the file. */
  readonly offset: bigint;
}

interface Slot {
  readonly hash: number;
  /** What is stored: addresses, or build ids. */
  readonly bytes: Uint8Array;
  readonly depth: number;
  /** Number of the bucket, of the free list. */
  readonly bucket: number;
}

export class StackMap extends BpfMap {
  /** Resolves addresses of the current task's files; set by whoever knows them. */
  buildIds: ((ip: bigint) => BuildIdPlace | undefined) | undefined;
  private readonly slots: (Slot | undefined)[];
  private readonly buckets: PcpuFreelist;
  private readonly frameSize: number;

  static check(attr: MapAttr): void {
    requireAttr((attr.mapFlags & ~CREATE_FLAGS) === 0, attr, 'EINVAL', 'flags it does not take');
    requireAttr(
      attr.maxEntries > 0 && attr.keySize === 4,
      attr,
      'EINVAL',
      'max_entries is 0 or key size not 4',
    );
    const { valueSize } = attr;
    const frame = (attr.mapFlags & MapFlag.BPF_F_STACK_BUILD_ID) !== 0 ? BUILD_ID_SIZE : 8;
    const whole = valueSize >= 8 && valueSize % frame === 0;
    requireAttr(whole, attr, 'EINVAL', `value size is no multiple of ${frame}`);
    requireAttr(
      valueSize / frame <= MAX_STACK_DEPTH,
      attr,
      'EINVAL',
      `value holds more than ${MAX_STACK_DEPTH} frames`,
    );
    requireAttr(attr.maxEntries <= 2 ** 31, attr, 'E2BIG', 'too many entries');
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 16);
    super(attr, host);
    this.slots = new Array<Slot | undefined>(2 ** Math.ceil(Math.log2(attr.maxEntries))).fill(undefined);
    this.buckets = new PcpuFreelist(host, attr.maxEntries);
    this.frameSize = (attr.mapFlags & MapFlag.BPF_F_STACK_BUILD_ID) !== 0 ? BUILD_ID_SIZE : 8;
  }

  /** bpf_get_stackid: the trace's number or a negative errno. @param trace return addresses, innermost first */
  store(trace: BigUint64Array, flags: number): number {
    return this.host.executor.drive(this.storeFlow(trace, flags));
  }

  *storeFlow(trace: BigUint64Array, flags: number): Flow<number> {
    const skip = flags & StackFlag.BPF_F_SKIP_FIELD_MASK;
    if (trace.length <= skip) return -Errno.EFAULT;
    const most = Math.min(this.valueSize / this.frameSize + skip, MAX_STACK_DEPTH);
    const ips = trace.slice(skip, Math.min(most, trace.length));
    const words = new Int32Array(ips.buffer);
    const hash = jhash2(words, 0, words.length, 0);
    const id = hash & (this.slots.length - 1);
    const old = this.slots[id];
    const matches = old !== undefined && old.hash === hash;
    if (matches && (flags & StackFlag.BPF_F_FAST_STACK_CMP) !== 0) return id;
    const reuse = (flags & StackFlag.BPF_F_REUSE_STACKID) !== 0;
    const byId = this.frameSize === BUILD_ID_SIZE;
    // With build ids a bucket is taken before the traces can be compared.
    if (!byId) {
      if (matches && sameBytes(old.bytes, bytesOf(ips))) return id;
      if (old !== undefined && !reuse) return -Errno.EEXIST;
    }
    const bucket = yield* this.buckets.popFlow();
    if (bucket === 0) return -Errno.ENOMEM;
    const bytes = byId ? this.resolve(ips, (flags & StackFlag.BPF_F_USER_STACK) !== 0) : bytesOf(ips);
    const same = byId && matches && sameBytes(old.bytes, bytes);
    if (same || (old !== undefined && !reuse)) {
      yield* this.buckets.pushFlow(bucket);
      return same ? id : -Errno.EEXIST;
    }
    this.slots[id] = { hash, bytes, depth: ips.length, bucket };
    if (old !== undefined) yield* this.buckets.pushFlow(old.bucket);
    return id;
  }

  /** Frames as build ids, as far as the task's mappings may be looked at here. */
  private resolve(ips: BigUint64Array, user: boolean): Uint8Array {
    const { sched } = this.host;
    // Waiting for the mappings' lock is out of the question, and on RT so is releasing it with interrupts off.
    const { rt, profile } = sched;
    const barred = rt && profile.stackBuildIdRt === 'fallback' && sched.here.irqsDisabled;
    const release = user && !barred ? holdMappings(this.host) : undefined;
    const find = release === undefined ? undefined : this.buildIds;
    const bytes = new Uint8Array(ips.length * BUILD_ID_SIZE);
    const view = new DataView(bytes.buffer);
    ips.forEach((ip, i) => {
      const at = i * BUILD_ID_SIZE;
      const place = find?.(ip);
      view.setInt32(at, place === undefined ? BuildIdStatus.ip : BuildIdStatus.valid, true);
      if (place !== undefined) bytes.set(place.buildId.subarray(0, BUILD_ID_BYTES), at + 4);
      view.setBigUint64(at + 4 + BUILD_ID_BYTES, place === undefined ? ip : place.offset, true);
    });
    release?.();
    return bytes;
  }

  /** Return addresses of a stored trace, innermost first; of one by build ids, addresses or offsets in files. */
  trace(id: number): BigUint64Array | undefined {
    const slot = this.slots[id];
    if (slot === undefined) return undefined;
    const view = new DataView(slot.bytes.buffer);
    const at = this.frameSize - 8;
    return BigUint64Array.from({ length: slot.depth }, (_, i) =>
      view.getBigUint64(i * this.frameSize + at, true),
    );
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override delete(key: number): number {
    return this.host.executor.drive(this.deleteFlow(key));
  }

  override *deleteFlow(key: number): Flow<number> {
    const id = this.memory.view.getUint32(key, true);
    if (id >= this.slots.length) return -Errno.E2BIG;
    const slot = this.slots[id];
    if (slot === undefined) return -Errno.ENOENT;
    this.slots[id] = undefined;
    yield* this.buckets.pushFlow(slot.bucket);
    return 0;
  }

  override sysDeleteFlow(key: number): Flow<number> {
    return this.deleteFlow(key);
  }

  override sysLookup(key: number, value: number): number {
    const slot = this.slots[this.memory.view.getUint32(key, true)];
    if (slot === undefined) return -Errno.ENOENT;
    this.memory.u8.fill(0, value, value + this.valueSize);
    this.memory.u8.set(slot.bytes, value);
    return 0;
  }

  override *sysLookupAndDeleteFlow(key: number, value: number): Flow<number> {
    const missing = this.sysLookup(key, value);
    return missing !== 0 ? missing : yield* this.deleteFlow(key);
  }

  override sysLookupAndDelete(key: number, value: number): number {
    return this.host.executor.drive(this.sysLookupAndDeleteFlow(key, value));
  }

  override nextKey(key: number, next: number): number {
    let id = 0;
    if (key !== 0) {
      const from = this.memory.view.getUint32(key, true);
      id = from >= this.slots.length || this.slots[from] === undefined ? 0 : from + 1;
    }
    while (id < this.slots.length && this.slots[id] === undefined) id++;
    if (id >= this.slots.length) return -Errno.ENOENT;
    this.memory.view.setUint32(next, id, true);
    return 0;
  }
}

function bytesOf(ips: BigUint64Array): Uint8Array {
  return new Uint8Array(ips.buffer, ips.byteOffset, ips.byteLength);
}
