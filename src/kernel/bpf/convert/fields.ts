/**
 * How wide the kernel keeps what a context shows: where a field of the context is wider than the kernel's own, a
 * converted access takes the kernel's. Models the `convert_ctx_access` functions of net/core/filter.c, Linux 6.18.
 */

import { SOCK_ADDR } from '../../../abi/context/cgroup.js';
import type { ContextLayout } from '../../../abi/context/layout.js';
import { SK_BUFF, SOCK } from '../../../abi/context/skb.js';
import { SK_LOOKUP, SK_REUSEPORT_MD } from '../../../abi/context/sock.js';
import { XDP_MD } from '../../../abi/context/xdp.js';

/** What a field is to a converted access. */
export interface KernelField {
  /** Bytes of the kernel's field. */
  readonly width?: number;
  /** The context holds 32 bits of a pointer whose whole lies at this offset, behind the context's own bytes. */
  readonly pointerAt?: number;
  /** A store does more than to store: what it does is the host's. */
  readonly hostStore?: 'queue_mapping';
  /** The kernel's "none" is all ones, 64 bits of them. */
  readonly noneIsMinusOne?: true;
}

const narrow = (width: number, names: string): [string, KernelField][] =>
  names.split(' ').map((name) => [name, { width }]);

const pointers = (from: number): [string, KernelField][] =>
  ['data', 'data_end', 'data_meta'].map((name, i) => [name, { pointerAt: from + 8 * i }]);

const TABLE: readonly (readonly [ContextLayout, readonly [string, KernelField][]])[] = [
  [
    SK_BUFF,
    [
      ...pointers(SK_BUFF.size),
      ...narrow(1, 'pkt_type'),
      ...narrow(2, 'protocol vlan_tci vlan_proto tc_index tc_classid family remote_port local_port'),
      ...narrow(2, 'gso_segs gso_size'),
      ['queue_mapping', { width: 2, hostStore: 'queue_mapping' }],
    ],
  ],
  [XDP_MD, pointers(XDP_MD.size)],
  [
    SOCK,
    [
      ...narrow(2, 'family type protocol src_port dst_port'),
      ...narrow(1, 'state'),
      ['rx_queue_mapping', { width: 2, noneIsMinusOne: true }],
    ],
  ],
  [SOCK_ADDR, narrow(2, 'user_family user_port family type protocol')],
  [SK_LOOKUP, narrow(2, 'family protocol remote_port local_port')],
  [SK_REUSEPORT_MD, narrow(2, 'eth_protocol ip_protocol')],
];

const FIELDS: ReadonlyMap<ContextLayout, ReadonlyMap<string, KernelField>> = new Map(
  TABLE.map(([layout, fields]) => [layout, new Map(fields)]),
);

/** Bytes behind a context that hold its pointers whole. */
export const POINTER_ROOM = 24;

/** What the kernel has where the context shows the field; undefined where both are alike. */
export function kernelField(layout: ContextLayout, name: string): KernelField | undefined {
  return FIELDS.get(layout)?.get(name);
}
