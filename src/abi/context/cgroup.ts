/**
 * Contexts of the programs that guard a cgroup's system calls (include/uapi/linux/bpf.h, Linux 6.18).
 */
import { type ContextLayout, layout } from './layout.js';

/** cgroup_sock_addr: bind, connect, sendmsg, …; `user_*` may be rewritten. */
export const SOCK_ADDR: ContextLayout = layout('bpf_sock_addr', 72, [
  ['user_family', 0, 4],
  ['user_ip4', 4, 4],
  ['user_ip6', 8, 4, 4],
  ['user_port', 24, 4],
  ['family', 28, 4],
  ['type', 32, 4],
  ['protocol', 36, 4],
  ['msg_src_ip4', 40, 4],
  ['msg_src_ip6', 44, 4, 4],
  ['sk', 64, 8],
]);

/** cgroup_sockopt: getsockopt and setsockopt. */
export const SOCKOPT: ContextLayout = layout('bpf_sockopt', 40, [
  ['sk', 0, 8],
  ['optval', 8, 8],
  ['optval_end', 16, 8],
  ['level', 24, 4],
  ['optname', 28, 4],
  ['optlen', 32, 4],
  ['retval', 36, 4],
]);

/** cgroup_sysctl: a read or write under /proc/sys. */
export const SYSCTL: ContextLayout = layout('bpf_sysctl', 8, [
  ['write', 0, 4],
  ['file_pos', 4, 4],
]);

/** cgroup_device: `access_type` holds the access in its upper and the device type in its lower half. */
export const CGROUP_DEV_CTX: ContextLayout = layout('bpf_cgroup_dev_ctx', 12, [
  ['access_type', 0, 4],
  ['major', 4, 4],
  ['minor', 8, 4],
]);
