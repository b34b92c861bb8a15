/** Beginnings that many programs share. */

/** Slots 0 to 5: a look-up in map `table`, its result in r0. */
export const LOOKUP = `
  *(u64 *)(r10 - 8) = 0
  r2 = r10
  r2 += -8
  r1 = map 0
  call bpf_map_lookup_elem`;

/** Slots 0 to 6: the same, and out if there is nothing. */
export const FOUND = `${LOOKUP}
  if r0 == 0 goto out`;

export const END = `
  r0 = 0
out:
  exit`;

/** Slots 0 to 1: packet start in r2, end in r3, of an XDP program. */
export const XDP = `
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)`;

/** Slots 0 to 9: a socket looked up in a traffic-control program, in r0. */
export const SOCKET = `
  r6 = r1
  *(u64 *)(r10 - 8) = 0
  *(u64 *)(r10 - 16) = 0
  r2 = r10
  r2 += -16
  r3 = 12
  r4 = 0
  r5 = 0
  call bpf_sk_lookup_tcp`;
