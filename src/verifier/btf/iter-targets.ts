/**
 * What iterator programs can walk (`bpf_iter_<target>` functions) and what is known of their arguments beyond the
 * function's prototype: `struct bpf_iter_reg` of each target, Linux 6.18 (kernel/bpf/*_iter.c, net/).
 */
import { MEM_RDONLY, PTR_MAYBE_NULL, PTR_TO_BTF_ID, PTR_TO_BUF, PTR_TRUSTED } from '../reg-type.js';

export interface IterArg {
  /** Member of the context, from 0. */
  readonly slot: number;
  readonly regType: number;
  /** Kernel structure; absent for buffers. */
  readonly struct?: string;
}

const maybe = (slot: number, struct: string): IterArg => ({
  slot,
  regType: PTR_TO_BTF_ID | PTR_MAYBE_NULL,
  struct,
});
const trusted = (slot: number, struct: string): IterArg => ({
  slot,
  regType: PTR_TO_BTF_ID | PTR_MAYBE_NULL | PTR_TRUSTED,
  struct,
});
const buffer = (slot: number, flags = 0): IterArg => ({ slot, regType: PTR_TO_BUF | PTR_MAYBE_NULL | flags });

const TARGETS: Readonly<Record<string, readonly IterArg[]>> = {
  bpf_map: [trusted(1, 'bpf_map')],
  bpf_map_elem: [buffer(2, MEM_RDONLY), buffer(3)],
  bpf_sk_storage_map: [maybe(2, 'sock'), buffer(3)],
  bpf_prog: [maybe(1, 'bpf_prog')],
  bpf_link: [maybe(1, 'bpf_link')],
  sockmap: [buffer(2, MEM_RDONLY), maybe(3, 'sock')],
  task: [trusted(1, 'task_struct')],
  task_file: [maybe(1, 'task_struct'), maybe(3, 'file')],
  task_vma: [maybe(1, 'task_struct'), maybe(2, 'vm_area_struct')],
  cgroup: [trusted(1, 'cgroup')],
  ksym: [maybe(1, 'kallsym_iter')],
  kmem_cache: [trusted(1, 'kmem_cache')],
  dmabuf: [maybe(1, 'dma_buf')],
  netlink: [maybe(1, 'netlink_sock')],
  ipv6_route: [maybe(1, 'fib6_info')],
  tcp: [trusted(1, 'sock_common')],
  udp: [trusted(1, 'udp_sock')],
  unix: [maybe(1, 'unix_sock')],
};

/** Known arguments of the target behind a function `bpf_iter_<target>`; undefined where there is no such target. */
export function iterArgs(func: string): readonly IterArg[] | undefined {
  const match = /^bpf_iter_(.+)$/.exec(func);
  const target = match?.[1] ?? '';
  return Object.hasOwn(TARGETS, target) ? TARGETS[target] : undefined;
}
