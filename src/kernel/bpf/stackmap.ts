/**
 * Stack traces by number. The number is the slot that the trace's hash picks; a slot holds one trace. Models
 * kernel/bpf/stackmap.c of Linux 6.18; build ids are not resolved, and BPF_F_STACK_BUILD_ID is refused.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, StackFlag } from '../../abi/map-flags.js';
import { UnsupportedError } from '../errors.js';
import { jhash2 } from '../lib/jhash.js';
import { BpfMap, type MapAttr, type MapHost, requireAttr, requireMemory } from './map.js';

const CREATE_FLAGS =
  MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_RDONLY | MapFlag.BPF_F_WRONLY | MapFlag.BPF_F_STACK_BUILD_ID;
/** Deepest stack that is recorded (kernel.perf_event_max_stack). */
export const MAX_STACK_DEPTH = 127;

interface Slot {
  readonly hash: number;
  /** Return addresses, as pairs of 32-bit words. */
  readonly words: Int32Array;
}

export class StackMap extends BpfMap {
  private readonly slots: (Slot | undefined)[];
  /** Traces that may still be stored. */
  private free: number;

  static check(attr: MapAttr): void {
    requireAttr((attr.mapFlags & ~CREATE_FLAGS) === 0, attr, 'EINVAL', 'flags it does not take');
    requireAttr(
      attr.maxEntries > 0 && attr.keySize === 4,
      attr,
      'EINVAL',
      'max_entries is 0 or key size not 4',
    );
    const { valueSize } = attr;
    requireAttr(valueSize >= 8 && valueSize % 8 === 0, attr, 'EINVAL', 'value size is no multiple of 8');
    requireAttr(
      valueSize / 8 <= MAX_STACK_DEPTH,
      attr,
      'EINVAL',
      `value holds more than ${MAX_STACK_DEPTH} frames`,
    );
    requireAttr(attr.maxEntries <= 2 ** 31, attr, 'E2BIG', 'too many entries');
    if ((attr.mapFlags & MapFlag.BPF_F_STACK_BUILD_ID) !== 0) {
      const what = `map ${attr.name} (stack_trace): BPF_F_STACK_BUILD_ID is not supported`;
      throw new UnsupportedError('UNSUPPORTED_MAP_TYPE', what);
    }
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, attr.maxEntries * 16);
    super(attr, host);
    this.slots = new Array<Slot | undefined>(2 ** Math.ceil(Math.log2(attr.maxEntries))).fill(undefined);
    this.free = attr.maxEntries;
  }

  /** bpf_get_stackid: the trace's number or a negative errno. @param trace return addresses, innermost first */
  store(trace: BigUint64Array, flags: number): number {
    const skip = flags & StackFlag.BPF_F_SKIP_FIELD_MASK;
    if (trace.length <= skip) return -Errno.EFAULT;
    const depth = Math.min(Math.min(this.valueSize / 8 + skip, MAX_STACK_DEPTH), trace.length) - skip;
    const words = new Int32Array(trace.slice(skip, skip + depth).buffer);
    const hash = jhash2(words, 0, words.length, 0);
    const id = hash & (this.slots.length - 1);
    const old = this.slots[id];
    if (old !== undefined) {
      if (old.hash === hash && ((flags & StackFlag.BPF_F_FAST_STACK_CMP) !== 0 || equal(old.words, words)))
        return id;
      if ((flags & StackFlag.BPF_F_REUSE_STACKID) === 0) return -Errno.EEXIST;
    }
    // The new trace is stored before the old one's place is free again.
    if (this.free === 0) return -Errno.ENOMEM;
    if (old === undefined) this.free--;
    this.slots[id] = { hash, words };
    return id;
  }

  /** Return addresses of a stored trace, innermost first. */
  trace(id: number): BigUint64Array | undefined {
    const slot = this.slots[id];
    return slot === undefined ? undefined : new BigUint64Array(slot.words.buffer);
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override delete(key: number): number {
    const id = this.memory.view.getUint32(key, true);
    if (id >= this.slots.length) return -Errno.E2BIG;
    if (this.slots[id] === undefined) return -Errno.ENOENT;
    this.slots[id] = undefined;
    this.free++;
    return 0;
  }

  override sysLookup(key: number, value: number): number {
    const slot = this.slots[this.memory.view.getUint32(key, true)];
    if (slot === undefined) return -Errno.ENOENT;
    const bytes = new Uint8Array(slot.words.buffer);
    this.memory.u8.fill(0, value, value + this.valueSize);
    this.memory.u8.set(bytes, value);
    return 0;
  }

  override sysLookupAndDelete(key: number, value: number): number {
    const missing = this.sysLookup(key, value);
    return missing !== 0 ? missing : this.delete(key);
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

function equal(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((word, i) => word === b[i]);
}
