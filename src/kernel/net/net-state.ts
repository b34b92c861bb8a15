/** Where the program that runs now has asked to send its packet: `struct bpf_redirect_info` (include/linux/filter.h). */
import type { SkBuff } from './skb.js';
import type { XdpBuff } from './xdp.js';

export type Redirect =
  | {
      readonly kind: 'ifindex';
      readonly ifindex: number;
      readonly flags: number;
      readonly via: 'redirect' | 'neigh' | 'peer';
    }
  | {
      readonly kind: 'map';
      readonly map: string;
      readonly index: number;
      readonly target: number;
      readonly flags: number;
    }
  | { readonly kind: 'broadcast'; readonly map: string; readonly flags: number };

export class NetState {
  /** The packet that the program which runs now was given; its buffer serves the next packet, too. */
  xdp: XdpBuff | undefined;
  skb: SkBuff | undefined;
  redirect: Redirect | undefined;
  /** Packets that `bpf_clone_redirect` has sent. */
  readonly cloned: { readonly ifindex: number; readonly flags: number; readonly data: Uint8Array }[] = [];

  takeXdp(make: () => XdpBuff): XdpBuff {
    this.xdp ??= make();
    return this.xdp;
  }

  takeSkb(make: () => SkBuff): SkBuff {
    this.skb ??= make();
    return this.skb;
  }
}
