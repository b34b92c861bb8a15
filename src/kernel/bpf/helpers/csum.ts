/** Checksums of memory. Models `bpf_csum_diff` in net/core/filter.c of Linux 6.18. */
import type { Machine } from '../../machine.js';
import { csumFold32, csumPartial, csumSub } from '../../net/checksum.js';
import { type HelperTable, plainHelpers } from './table.js';

export function csumHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    csum_diff(call) {
      const fromSize = call.argU32(2);
      const toSize = call.argU32(4);
      // 6.18 takes any size; before 6.13 it had to be a multiple of 4
      const { u8 } = kernel.memory;
      const sum = (n: number, size: number, seed: number) => {
        const at = call.pointer(n, size);
        return csumPartial(u8.subarray(at, at + size), seed);
      };
      const seed = call.argU32(5);
      if (fromSize > 0 && toSize > 0) return csumFold32(csumSub(sum(3, toSize, seed), sum(1, fromSize, 0)));
      if (toSize > 0) return csumFold32(sum(3, toSize, seed));
      return csumFold32(fromSize > 0 ? ~sum(1, fromSize, ~seed) >>> 0 : seed);
    },
  });
}
