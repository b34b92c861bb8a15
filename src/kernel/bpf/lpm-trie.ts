/**
 * Longest-prefix-match trie: a path-compressed binary tree whose inner nodes may stand for no key of their own.
 * Keys are a 32-bit prefix length and the prefix in network order. Models kernel/bpf/lpm_trie.c of Linux 6.18.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag, UpdateFlag } from '../../abi/map-flags.js';
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
    const isStruct =
      btfKeyTypeId !== 0 && btf!.type(btf!.skipModifiersAndTypedefs(btfKeyTypeId)).kind === 'struct';
    requireAttr(isStruct, attr, 'EINVAL', 'the key is no structure');
  }

  constructor(attr: MapAttr, host: MapHost) {
    super(attr, host);
    this.dataSize = attr.keySize - 4;
    this.maxPrefix = this.dataSize * 8;
    this.values = new ElemPool(host.memory, 0, roundUp8(attr.valueSize), this.access);
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
    const length = this.memory.view.getUint32(key, true);
    if (flags > UpdateFlag.BPF_EXIST || length > this.maxPrefix) return -Errno.EINVAL;
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
    const fresh = this.newNode(key, length, value);
    if (replaces) {
      fresh.zero = node.zero;
      fresh.one = node.one;
      if (node.elem !== 0) this.values.give(node.elem);
    }
    this.attach(path, replaces || node === undefined ? fresh : this.branch(node, fresh, match));
    return 0;
  }

  override delete(key: number): number {
    const length = this.memory.view.getUint32(key, true);
    if (length > this.maxPrefix) return -Errno.EINVAL;
    const { node, parent, grandparent, match } = this.descend(key, length, false);
    if (node === undefined || node.prefixLength !== length || match !== length || node.elem === 0) {
      return -Errno.ENOENT;
    }
    this.count--;
    this.values.give(node.elem);
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
    this.values.release();
    super.release();
  }

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
    while (node !== undefined) {
      match = this.match(node, key, length);
      if (node.prefixLength !== match || node.prefixLength === length) break;
      if (updating && node.prefixLength === this.maxPrefix) break;
      grandparent = parent;
      parent = node;
      node = this.keyBit(key, node.prefixLength) ? node.one : node.zero;
    }
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

  private newNode(key: number, length: number, value: number): TrieNode {
    const elem = this.values.take();
    const at = this.values.valueAt(elem);
    const { u8 } = this.memory; // taking an element may have moved memory
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
