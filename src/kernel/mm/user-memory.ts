/**
 * Memory of the current task's user space. User addresses have an upper half of zero, so that no kernel address is
 * taken for one; what is not mapped here faults.
 */
import type { EngineMemory, Region } from '../../vm/index.js';

export class UserMemory {
  private readonly regions: Region[] = [];

  constructor(private readonly memory: EngineMemory) {}

  /** Maps a copy of `bytes`; returns its user address. */
  map(bytes: Uint8Array): number {
    const region = this.memory.alloc(bytes.length, 'none');
    region.bytes.set(bytes);
    this.regions.push(region);
    return region.address32;
  }

  /** How many bytes from a user address on are mapped. */
  mappedFrom(address: number): number {
    for (const { address32, size } of this.regions) {
      if (address >= address32 && address < address32 + size) return address32 + size - address;
    }
    return 0;
  }
}
