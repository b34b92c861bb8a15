/**
 * Routes, neighbours and devices that look-ups find: a table that whoever sets the scene fills. Models what
 * `bpf_ipv4_fib_lookup` and `bpf_ipv6_fib_lookup` (net/core/filter.c) ask of the kernel.
 */

export interface NetDevice {
  readonly ifindex: number;
  readonly name: string;
  readonly mtu: number;
  readonly mac: Uint8Array;
  /** Forwarding is on. */
  readonly forwarding?: boolean;
}

export interface Route {
  /** Network order, 4 or 16 bytes. */
  readonly destination: Uint8Array;
  readonly prefixLength: number;
  readonly ifindex: number;
  readonly gateway?: Uint8Array;
  /** Default `unicast`. */
  readonly type?: 'unicast' | 'blackhole' | 'unreachable' | 'prohibit' | 'local';
  /** Default the main table, 254. */
  readonly table?: number;
  readonly mtu?: number;
  readonly source?: Uint8Array;
  readonly metric?: number;
}

export interface Neighbour {
  readonly ifindex: number;
  readonly address: Uint8Array;
  readonly mac: Uint8Array;
}

/** RT_TABLE_MAIN. */
export const MAIN_TABLE = 254;

function covers({ destination, prefixLength }: Route, address: Uint8Array): boolean {
  if (destination.length !== address.length) return false;
  for (let bit = 0; bit < prefixLength; bit++) {
    const mask = 0x80 >> (bit & 7);
    if ((destination[bit >> 3]! & mask) !== (address[bit >> 3]! & mask)) return false;
  }
  return true;
}

export class Fib {
  readonly devices: NetDevice[] = [
    { ifindex: 1, name: 'lo', mtu: 65536, mac: new Uint8Array(6), forwarding: false },
  ];
  readonly routes: Route[] = [];
  readonly neighbours: Neighbour[] = [];

  device(ifindex: number): NetDevice | undefined {
    return this.devices.find((device) => device.ifindex === ifindex);
  }

  /** The longest prefix that covers an address, the lowest metric among equals. */
  lookup(address: Uint8Array, table = MAIN_TABLE): Route | undefined {
    let best: Route | undefined;
    for (const route of this.routes) {
      if ((route.table ?? MAIN_TABLE) !== table || !covers(route, address)) continue;
      const longer = best === undefined || route.prefixLength > best.prefixLength;
      const equal = best !== undefined && route.prefixLength === best.prefixLength;
      if (longer || (equal && (route.metric ?? 0) < (best!.metric ?? 0))) best = route;
    }
    return best;
  }

  neighbour(ifindex: number, address: Uint8Array): Neighbour | undefined {
    const is = (other: Uint8Array): boolean =>
      other.length === address.length && other.every((byte, i) => byte === address[i]);
    return this.neighbours.find((known) => known.ifindex === ifindex && is(known.address));
  }
}
