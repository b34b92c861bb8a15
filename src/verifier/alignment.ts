/** Alignment of accesses: of the stack always, of all else where the load asks for it (`check_ptr_alignment`, Linux 6.18). */
import type { Verifier } from './context.js';
import type { Reg } from './reg.js';
import {
  PTR_TO_ARENA,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
} from './reg-type.js';
import { tnumAligned, tnumText } from './scalar/index.js';

/** Network headers start two bytes past a word boundary. */
const NET_IP_ALIGN = 2;

const NAMES: ReadonlyMap<number, string> = new Map([
  [PTR_TO_FLOW_KEYS, 'flow keys '],
  [PTR_TO_MAP_KEY, 'key '],
  [PTR_TO_MAP_VALUE, 'value '],
  [PTR_TO_CTX, 'context '],
  [PTR_TO_STACK, 'stack '],
  [PTR_TO_SOCKET, 'sock '],
  [PTR_TO_SOCK_COMMON, 'sock_common '],
  [PTR_TO_TCP_SOCK, 'tcp_sock '],
  [PTR_TO_XDP_SOCK, 'xdp_sock '],
]);

/** `once`: this access has to be aligned whatever the load's flags say. */
export function checkAlignment(v: Verifier, reg: Reg, off: number, size: number, once: boolean): void {
  if (size === 1 || reg.type === PTR_TO_ARENA) return;
  if (!v.strictAlignment && !once && reg.type !== PTR_TO_STACK) return;
  const total = reg.off + off;
  if (reg.type === PTR_TO_PACKET || reg.type === PTR_TO_PACKET_META) {
    if (tnumAligned(reg, NET_IP_ALIGN + total, size)) return;
    v.denied(`misaligned packet access off ${NET_IP_ALIGN}+${tnumText(reg)}+${reg.off}+${off} size ${size}`);
  }
  if (tnumAligned(reg, total, size)) return;
  v.denied(
    `misaligned ${NAMES.get(reg.type) ?? ''}access off ${tnumText(reg)}+${reg.off}+${off} size ${size}`,
  );
}
