/**
 * Longest-prefix-match trie: a path-compressed binary tree whose inner nodes may stand for no key of their own.
 * Keys are a 32-bit prefix length and the prefix in network order. One lock guards it; which one, and whether a new node is
 * allocated inside or outside, is the profile's `lpmLock`. Models kernel/bpf/lpm_trie.c (5.6 to 6.18).
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
import type { MapLock } from '../locking/map-lock.js';
import { type Flow, point } from '../sched/flow.js';
import { inFunction, type ProbePoint } from '../trace/probes.js';
import { ElemAllocator } from './elem-alloc.js';
import { ElemPool } from './elem-pool.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  type BatchOps,
  BpfMap,
  KMALLOC_MAX_SIZE,
  type MapAttr,
  type MapHost,
  requireAttr,
  roundUp8,
} from './map.js';

const CREATE_FLAGS = MapFlag.BPF_F_NO_PREALLOC | MapFlag.BPF_F_NUMA_NODE | ACCESS_FLAGS;
/** Interrupts are on, and no lock is held. */
const BEFORE_LOCK = point('trie->lock');
const UPDATE = 'trie_update_elem';
const DELETE = 'trie_delete_elem';
const MAX_DATA = 256;
/** sizeof(struct lpm_trie_node). */
const NODE_HEADER = 40;

class TrieNode {
  zero: TrieNode | undefined;
  one: TrieNode | undefined;

  constructor(
    readonly prefixLength: number,
    readonly data: Uint8Array,
    /** Element that holds the value; 0 in a node that only branches. */
    public elem: number,
  ) {}
}

/** Where a search ended: the node reached and what leads to it. */
interface Path {
  readonly node: TrieNode | undefined;
  readonly parent: TrieNode | undefined;
  readonly grandparent: TrieNode | undefined;
  /** Bits that the node reached has in common with the key. */
  readonly match: number;
}

export class LpmTrieMap extends BpfMap {
  private root: TrieNode | undefined;
  private count = 0;
  private readonly dataSize: number;
  private readonly maxPrefix: number;
  private readonly values: ElemPool;
  private readonly nodes: ElemAllocator;
  private readonly lock: MapLock;
  private readonly allocatesOutside: boolean;
  private readonly fnUpdate: ProbePoint;
  private readonly fnDelete: ProbePoint;
  /** Elements that an operation has taken out of the trie and not given back yet. */
  private readonly replaced: number[] = [];

  static check(attr: MapAttr): void {
    const { mapFlags, keySize, valueSize } = attr;
    requireAttr(attr.maxEntries > 0, attr, 'EINVAL', 'max_entries is 0');
    requireAttr((mapFlags & MapFlag.BPF_F_NO_PREALLOC) !== 0, attr, 'EINVAL', 'BPF_F_NO_PREALLOC is missing');
    requireAttr(
      (mapFlags & ~CREATE_FLAGS) === 0 && accessFlagsOk(mapFlags),
      attr,
      'EINVAL',
      'flags it does not take',
    );
    const keyOk = keySize >= 5 && keySize <= 4 + MAX_DATA;
    requireAttr(keyOk, attr, 'EINVAL', `key size is ${keySize}, not within 5 and ${4 + MAX_DATA}`);
    const valueOk = valueSize >= 1 && valueSize <= KMALLOC_MAX_SIZE - MAX_DATA - NODE_HEADER;
    requireAttr(valueOk, attr, 'EINVAL', `value size is ${valueSize}`);
  }

  static checkBtf(attr: MapAttr): void {
    const { btf, btfKeyTypeId = 0 } = attr;
    const isStruct = btfKeyTypeId !== 0 && btf!.underlying(btfKeyTypeId).kind === 'struct';
    requireAttr(isStruct, attr, 'EINVAL', 'the key is no structure');
  }

  constructor(attr: MapAttr, host: MapHost) {
    super(attr, host);
    this.dataSize = attr.keySize - 4;
    this.maxPrefix = this.dataSize * 8;
    this.values = new ElemPool(host.memory, 0, roundUp8(attr.valueSize), this.access);
    const elem = NODE_HEADER + this.dataSize + attr.valueSize;
    this.nodes = new ElemAllocator(
      host,
      { elem, part: 0 },
      (free) => this.values.give(free),
      'lpm_trie_node_free_rcu',
    );
    const { lpmLock } = host.sched.profile;
    this.allocatesOutside = lpmLock === 'raw+ma' || lpmLock === 'rq';
    const kind = lpmLock === 'rq' ? 'rq' : lpmLock === 'sl' ? 'spin' : 'raw';
    this.lock = host.locks.map(kind, '&trie->lock');
    this.fnUpdate = host.sched.probes.point(UPDATE);
    this.fnDelete = host.sched.probes.point(DELETE);
  }

  override get batchOps(): BatchOps {
    return { lookup: 'keys', update: true, delete: true };
  }

  get size(): number {
    return this.count;
  }

  override lookup(key: number): number {
    const length = this.memory.view.getUint32(key, true);
    if (length > this.maxPrefix) return 0;
    let found: TrieNode | undefined;
    for (let node = this.root; node !== undefined; ) {
      const match = this.match(node, key, length);
      if (match === this.maxPrefix) {
        found = node;
        break;
      }
      if (match < node.prefixLength) break;
      if (node.elem !== 0) found = node;
      node = this.keyBit(key, node.prefixLength) ? node.one : node.zero;
    }
    return found === undefined ? 0 : this.values.valueAt(found.elem);
  }

  override update(key: number, value: number, flags: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.updateFlow(key, value, flags));
    if (!this.updateOk(key, flags)) return -Errno.EINVAL;
    if (this.allocatesOutside) {
      const elem = this.nodes.takeNow(this.numbered);
      if (elem === 0) return -Errno.ENOMEM;
      const busy = this.lock.lockNow(UPDATE);
      const result = busy !== 0 ? busy : this.insert(key, value, flags, elem);
      if (busy === 0) this.lock.unlock();
      this.dropUnused(result, elem);
      return result;
    }
    return this.host.executor.drive(this.updateFlow(key, value, flags));
  }

  override updateFlow(key: number, value: number, flags: number): Flow<number> {
    const { memory } = this;
    const args = [this.header.address, memory.addressOf(key), memory.addressOf(value), flags];
    return inFunction(this.host.sched.here.calls, this.fnUpdate, args, () =>
      this.updateBody(key, value, flags),
    );
  }

  private *updateBody(key: number, value: number, flags: number): Flow<number> {
    this.touch();
    if (!this.updateOk(key, flags)) return -Errno.EINVAL;
    let elem = this.allocatesOutside ? yield* this.nodes.takeFlow(this.numbered) : 0;
    if (this.allocatesOutside && elem === 0) return -Errno.ENOMEM;
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    let result = yield* this.lock.lock(UPDATE);
    if (result === 0) {
      if (elem === 0) elem = yield* this.nodes.takeFlow(this.numbered);
      result = elem === 0 ? -Errno.ENOMEM : this.insert(key, value, flags, elem);
      this.lock.unlock();
    }
    if (elem !== 0) this.dropUnused(result, elem);
    for (let old = this.replaced.pop(); old !== undefined; old = this.replaced.pop())
      yield* this.nodes.giveFlow(old);
    return result;
  }

  private updateOk(key: number, flags: number): boolean {
    return flags <= UpdateFlag.BPF_EXIST && this.memory.view.getUint32(key, true) <= this.maxPrefix;
  }

  private freeReplaced(): void {
    for (let old = this.replaced.pop(); old !== undefined; old = this.replaced.pop()) this.nodes.giveNow(old);
  }

  private dropUnused(result: number, elem: number): void {
    if (result !== 0) this.nodes.giveNow(elem);
    this.freeReplaced();
  }

  /** What is done under the lock; elements that are no longer wanted are in `replaced` afterwards. */
  private insert(key: number, value: number, flags: number, elem: number): number {
    const length = this.memory.view.getUint32(key, true);
    const path = this.descend(key, length, true);
    const { node, match } = path;
    const replaces = node !== undefined && node.prefixLength === match;
    if (replaces && node.elem !== 0) {
      if (flags === UpdateFlag.BPF_NOEXIST) return -Errno.EEXIST;
    } else if (flags === UpdateFlag.BPF_EXIST) {
      return -Errno.ENOENT;
    } else if (this.count === this.maxEntries) {
      return -Errno.ENOSPC;
    } else {
      this.count++;
    }
    const fresh = this.newNode(key, length, value, elem);
    if (replaces) {
      fresh.zero = node.zero;
      fresh.one = node.one;
      if (node.elem !== 0) this.replaced.push(node.elem);
    }
    this.attach(path, replaces || node === undefined ? fresh : this.branch(node, fresh, match));
    return 0;
  }

  override delete(key: number): number {
    if (!this.host.sched.quiet) return this.host.executor.drive(this.deleteFlow(key));
    if (this.memory.view.getUint32(key, true) > this.maxPrefix) return -Errno.EINVAL;
    const busy = this.lock.lockNow(DELETE);
    if (busy !== 0) return busy;
    const result = this.remove(key);
    this.lock.unlock();
    this.freeReplaced();
    return result;
  }

  override deleteFlow(key: number): Flow<number> {
    const args = [this.header.address, this.memory.addressOf(key)];
    return inFunction(this.host.sched.here.calls, this.fnDelete, args, () => this.deleteBody(key));
  }

  private *deleteBody(key: number): Flow<number> {
    this.touch();
    if (this.memory.view.getUint32(key, true) > this.maxPrefix) return -Errno.EINVAL;
    if (this.host.sched.interleaved) yield BEFORE_LOCK;
    const busy = yield* this.lock.lock(DELETE);
    if (busy !== 0) return busy;
    const result = this.remove(key);
    this.lock.unlock();
    for (let old = this.replaced.pop(); old !== undefined; old = this.replaced.pop())
      yield* this.nodes.giveFlow(old);
    return result;
  }

  override sysUpdateFlow(key: number, value: number, flags: number): Flow<number> {
    return this.updateFlow(key, value, flags);
  }

  override sysDeleteFlow(key: number): Flow<number> {
    return this.deleteFlow(key);
  }

  private remove(key: number): number {
    const length = this.memory.view.getUint32(key, true);
    const { node, parent, grandparent, match } = this.descend(key, length, false);
    if (node === undefined || node.prefixLength !== length || match !== length || node.elem === 0) {
      return -Errno.ENOENT;
    }
    this.count--;
    this.replaced.push(node.elem);
    if (node.zero !== undefined && node.one !== undefined) {
      node.elem = 0;
    } else if (
      parent !== undefined &&
      parent.elem === 0 &&
      node.zero === undefined &&
      node.one === undefined
    ) {
      // A node that only branches keeps two children: its other one takes its place.
      this.replace(grandparent, parent, parent.zero === node ? parent.one : parent.zero);
    } else {
      this.replace(parent, node, node.zero ?? node.one);
    }
    return 0;
  }

  /** More specific keys come before the less specific ones that contain them. */
  override nextKey(key: number, next: number): number {
    if (this.root === undefined) return -Errno.ENOENT;
    const following = key === 0 ? leftmost(this.root) : this.following(key);
    if (following === undefined) return -Errno.ENOENT;
    this.memory.view.setUint32(next, following.prefixLength, true);
    this.memory.u8.set(following.data, next + 4);
    return 0;
  }

  override release(): void {
    this.nodes.destroy();
    this.values.release();
    super.release();
  }

  /** A number for a node that was allocated. */
  private readonly numbered = (): number => this.values.take();

  private following(key: number): TrieNode | undefined {
    const length = this.memory.view.getUint32(key, true);
    const root = this.root!;
    if (length > this.maxPrefix) return leftmost(root);
    const path: TrieNode[] = [];
    let match = 0;
    let node: TrieNode | undefined = root;
    while (node !== undefined) {
      path.push(node);
      match = this.match(node, key, length);
      if (node.prefixLength !== match || node.prefixLength === length) break;
      node = this.keyBit(key, node.prefixLength) ? node.one : node.zero;
    }
    if (node === undefined || node.prefixLength !== match || node.elem === 0) return leftmost(root);
    for (let at = path.length - 1; at > 0; at--) {
      const parent = path[at - 1]!;
      if (parent.zero === path[at] && parent.one !== undefined) return leftmost(parent.one);
      if (parent.elem !== 0) return parent;
    }
    return undefined;
  }

  /** Down to the node that has the key's place. An update stops where the trie can grow no deeper. */
  private descend(key: number, length: number, updating: boolean): Path {
    let grandparent: TrieNode | undefined;
    let parent: TrieNode | undefined;
    let node = this.root;
    let match = 0;
    let seen = 0;
    while (node !== undefined) {
      seen++;
      match = this.match(node, key, length);
      if (node.prefixLength !== match || node.prefixLength === length) break;
      if (updating && node.prefixLength === this.maxPrefix) break;
      grandparent = parent;
      parent = node;
      node = this.keyBit(key, node.prefixLength) ? node.one : node.zero;
    }
    const { sched } = this.host;
    sched.charge(seen * sched.costs.element);
    return { node, parent, grandparent, match };
  }

  /** What takes the place of `node`, which shares only `match` bits with the new one. */
  private branch(node: TrieNode, fresh: TrieNode, match: number): TrieNode {
    if (match === fresh.prefixLength) {
      if (dataBit(node.data, match)) fresh.one = node;
      else fresh.zero = node;
      return fresh;
    }
    const inner = new TrieNode(match, node.data, 0);
    const right = dataBit(fresh.data, match);
    inner.zero = right ? node : fresh;
    inner.one = right ? fresh : node;
    return inner;
  }

  private attach(path: Path, fresh: TrieNode): void {
    const { parent, node } = path;
    if (parent === undefined) this.root = fresh;
    else if (node === undefined) {
      if (dataBit(fresh.data, parent.prefixLength)) parent.one = fresh;
      else parent.zero = fresh;
    } else this.replace(parent, node, fresh);
  }

  private replace(parent: TrieNode | undefined, old: TrieNode, fresh: TrieNode | undefined): void {
    if (parent === undefined) this.root = fresh;
    else if (parent.one === old) parent.one = fresh;
    else parent.zero = fresh;
  }

  private newNode(key: number, length: number, value: number, elem: number): TrieNode {
    const at = this.values.valueAt(elem);
    const { u8 } = this.memory;
    u8.copyWithin(at, value, value + this.valueSize);
    return new TrieNode(length, u8.slice(key + 4, key + 4 + this.dataSize), elem);
  }

  private keyBit(key: number, bit: number): boolean {
    return ((this.memory.u8[key + 4 + (bit >> 3)]! >> (7 - (bit & 7))) & 1) === 1;
  }

  /** Bits that node and key have in common, up to the shorter of their prefixes. */
  private match(node: TrieNode, key: number, length: number): number {
    const { u8 } = this.memory;
    const { data } = node;
    const limit = Math.min(node.prefixLength, length);
    for (let i = 0, bits = 0; bits < limit; i++, bits += 8) {
      const diff = data[i]! ^ u8[key + 4 + i]!;
      if (diff !== 0) return Math.min(limit, bits + Math.clz32(diff) - 24);
    }
    return limit;
  }
}

function dataBit(data: Uint8Array, bit: number): boolean {
  return ((data[bit >> 3]! >> (7 - (bit & 7))) & 1) === 1;
}

/** First key of a subtree in postorder. */
function leftmost(node: TrieNode): TrieNode | undefined {
  let found: TrieNode | undefined;
  for (let at: TrieNode | undefined = node; at !== undefined; ) {
    if (at.elem === 0) {
      at = at.zero;
    } else {
      found = at;
      at = at.zero ?? at.one;
    }
  }
  return found;
}
