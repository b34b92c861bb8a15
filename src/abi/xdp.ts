/** Return values of XDP programs: `enum xdp_action` of include/uapi/linux/bpf.h. */
export const XdpAction = {
  XDP_ABORTED: 0,
  XDP_DROP: 1,
  XDP_PASS: 2,
  XDP_TX: 3,
  XDP_REDIRECT: 4,
} as const;
