/** Metadata of a tunnelled packet: `struct ip_tunnel_info` (include/net/ip_tunnels.h) as far as programs see it. */

export interface TunnelInfo {
  readonly id: number;
  readonly ipv6: boolean;
  /** Network order, 4 or 16 bytes. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly tos: number;
  readonly ttl: number;
  readonly label: number;
  /** In network order, as `tunnel_flags` shows them. */
  flags: number;
  /** Options of the tunnel's header. */
  options: Uint8Array;
}
