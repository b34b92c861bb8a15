/** What became of a packet or a message, as whoever caused the event is told. */
import type { Redirect } from './net-state.js';
import type { Sock } from './sock.js';

/** What a flow dissector found in a packet: the fields of `struct bpf_flow_keys`. */
export type FlowKeys = Readonly<Record<string, number>>;

/** A part of what a socket sends or receives, and where it goes. */
export interface MessagePart {
  readonly verdict: 'pass' | 'drop' | 'redirect';
  readonly data: Uint8Array;
  /** The socket that it was sent on to. */
  readonly to?: Sock;
  /** It goes to that socket's receive queue (BPF_F_INGRESS). */
  readonly ingress?: boolean;
}

/** Where a packet's way ended, and what the programs on it said. */
export interface PacketResult {
  readonly verdict: 'pass' | 'drop' | 'tx' | 'redirect' | 'stolen';
  /** The last program's hook; `none` where there is no program. */
  readonly hook:
    | 'xdp'
    | 'ingress'
    | 'egress'
    | 'netfilter'
    | 'lwt'
    | 'cgroup'
    | 'socket'
    | 'sockmap'
    | 'none';
  /** What the last program returned, 32 bits signed. */
  readonly retval: number | undefined;
  readonly redirect?: Redirect;
  /** The packet as the programs left it. */
  readonly data: Uint8Array;
  /** What a flow dissector found in it. */
  readonly flow?: FlowKeys;
  /** What the programs of its socket's map made of its payload. */
  readonly parts?: readonly MessagePart[];
}
