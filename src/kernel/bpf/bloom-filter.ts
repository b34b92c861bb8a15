/**
 * Bloom filter: values that were pushed are found, others mostly not. There are no keys. Models
 * kernel/bpf/bloom_filter.c of Linux 6.18; with BPF_F_ZERO_SEED the same values collide as there.
 */
import { Errno } from '../../abi/errno.js';
import { MapFlag } from '../../abi/map-flags.js';
import { jhash, jhash2 } from '../lib/jhash.js';
import {
  ACCESS_FLAGS,
  accessFlagsOk,
  BpfMap,
  KMALLOC_MAX_SIZE,
  type MapAttr,
  type MapHost,
  requireAttr,
  requireMemory,
} from './map.js';

const CREATE_FLAGS = MapFlag.BPF_F_NUMA_NODE | MapFlag.BPF_F_ZERO_SEED | ACCESS_FLAGS;
/** The low bits of `map_extra`: number of hash functions. */
const HASHES_MASK = 0xfn;
const DEFAULT_HASHES = 5;
const MAX_BITS = 2 ** 32;

const hashesOf = (attr: MapAttr): number => Number(attr.mapExtra) || DEFAULT_HASHES;

/** Bits of the filter, a power of two: entries times hashes over ln 2, which is taken to be 5/7. */
function bitsOf(attr: MapAttr): number {
  const wanted = attr.maxEntries * hashesOf(attr);
  const bits = wanted > 0xffffffff ? MAX_BITS : Math.floor(wanted / 5) * 7;
  if (bits > 2 ** 31) return MAX_BITS;
  return bits <= 64 ? 64 : 2 ** Math.ceil(Math.log2(bits));
}

export class BloomFilterMap extends BpfMap {
  private readonly bits: Uint32Array;
  private readonly mask: number;
  private readonly hashes: number;
  private readonly seed: number;
  /** An aligned copy of a value that is not. */
  private readonly scratch;

  static check(attr: MapAttr): void {
    const { mapFlags, valueSize } = attr;
    requireAttr(valueSize <= KMALLOC_MAX_SIZE, attr, 'E2BIG', 'value size is too large');
    requireAttr(attr.keySize === 0, attr, 'EINVAL', 'it has no keys: key size must be 0');
    requireAttr(valueSize > 0 && attr.maxEntries > 0, attr, 'EINVAL', 'value size or max_entries is 0');
    const flagsOk = (mapFlags & ~CREATE_FLAGS) === 0 && accessFlagsOk(mapFlags);
    requireAttr(flagsOk, attr, 'EINVAL', 'flags it does not take');
    requireAttr((attr.mapExtra & ~HASHES_MASK) === 0n, attr, 'EINVAL', 'map_extra is no number of hashes');
  }

  static checkBtf(attr: MapAttr): void {
    requireAttr((attr.btfKeyTypeId ?? 0) === 0, attr, 'EINVAL', 'it has no keys');
  }

  constructor(attr: MapAttr, host: MapHost) {
    requireMemory(attr, bitsOf(attr) / 8);
    super(attr, host);
    const bits = bitsOf(attr);
    this.bits = new Uint32Array(bits / 32);
    this.mask = bits - 1;
    this.hashes = hashesOf(attr);
    this.seed = (attr.mapFlags & MapFlag.BPF_F_ZERO_SEED) !== 0 ? 0 : host.nextHashSeed();
    this.scratch = host.memory.alloc(attr.valueSize, 'none');
  }

  override push(value: number, flags: number): number {
    if (flags !== 0) return -Errno.EINVAL;
    const at = this.aligned(value);
    for (let i = 0; i < this.hashes; i++) {
      const bit = this.bit(at, i);
      this.bits[bit >>> 5]! |= 1 << (bit & 31);
    }
    return 0;
  }

  /** Whether the value may have been pushed: 0 or -ENOENT. */
  override peek(value: number): number {
    const at = this.aligned(value);
    for (let i = 0; i < this.hashes; i++) {
      const bit = this.bit(at, i);
      if ((this.bits[bit >>> 5]! & (1 << (bit & 31))) === 0) return -Errno.ENOENT;
    }
    return 0;
  }

  override update(): number {
    return -Errno.EINVAL;
  }

  override sysLookup(_key: number, value: number, _flags = 0): number {
    return this.peek(value);
  }

  override sysUpdate(_key: number, value: number, flags: number): number {
    return this.push(value, flags);
  }

  override release(): void {
    this.memory.free(this.scratch);
    super.release();
  }

  private aligned(value: number): number {
    if ((value & 3) === 0 || this.valueSize % 4 !== 0) return value;
    this.memory.u8.copyWithin(this.scratch.address32, value, value + this.valueSize);
    return this.scratch.address32;
  }

  private bit(value: number, index: number): number {
    const { memory, valueSize } = this;
    const seed = (this.seed + index) | 0;
    const hash =
      valueSize % 4 === 0
        ? jhash2(memory.i32, value >> 2, valueSize / 4, seed)
        : jhash(memory.u8, value, valueSize, seed);
    return (hash & this.mask) >>> 0;
  }
}
