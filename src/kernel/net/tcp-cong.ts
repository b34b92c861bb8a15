/**
 * Congestion control of TCP sockets by struct_ops tables: what is called when a socket takes one, when data is
 * acknowledged, when it is lost. The window is the socket's `snd_cwnd`, which programs read and write in `struct tcp_sock`.
 * Models net/ipv4/tcp_cong.c and `tcp_cong_control` (net/ipv4/tcp_input.c).
 */

import type { StructOpsMap } from '../bpf/struct-ops.js';
import type { StructOpsTables } from '../bpf/struct-ops-link.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import type { InetSock } from './inet-sock.js';

const KIND = 'tcp_congestion_ops';
const TCP_CA_RECOVERY = 3n;
const INITIAL_WINDOW = 10;
const INFINITE_SSTHRESH = 0x7fffffff;
/** Members of `struct tcp_sock` that go both ways. */
const SHARED = ['snd_cwnd', 'snd_ssthresh', 'snd_cwnd_cnt'] as const;
const BARE_SIZE = 4096;

export class TcpCongestion {
  private readonly ops = new WeakMap<InetSock, StructOpsMap>();
  private readonly images = new WeakMap<InetSock, number>();

  constructor(
    private readonly kernel: Machine,
    private readonly tables: StructOpsTables,
  ) {}

  /** setsockopt(TCP_CONGESTION): 0, or -ENOENT for a name that is not registered. The old table's `release` runs first. */
  *use(sock: InetSock, name: string): Flow<void> {
    if (!sock.isTcp) throw SyscallError.of('EOPNOTSUPP', 'congestion control is TCP’s');
    const map = this.tables.find(KIND, name);
    if (map === undefined) throw SyscallError.of('ENOENT', `no congestion control is named ${name}`);
    const before = this.ops.get(sock);
    if (before !== undefined) yield* this.call(sock, before, 'release', []);
    this.ops.set(sock, map);
    sock.tcp = { snd_cwnd: INITIAL_WINDOW, snd_ssthresh: INFINITE_SSTHRESH, ...sock.tcp };
    yield* this.call(sock, map, 'init', []);
  }

  /** An acknowledgement of `acked` packets comes in, in the softirq; the window afterwards. */
  *ack(sock: InetSock, acked: number): Flow<number> {
    const { softirq } = this.kernel.irq;
    const map = this.tableOf(sock);
    yield* softirq.disable('tcp_ack');
    const controlled = yield* this.call(sock, map, 'cong_control', [0, 0, 0]);
    if (controlled === undefined) yield* this.call(sock, map, 'cong_avoid', [0, acked]);
    yield* softirq.enable();
    return this.window(sock);
  }

  /** A loss is found: the threshold and with it the window are what `ssthresh` says. */
  *loss(sock: InetSock): Flow<number> {
    const { softirq } = this.kernel.irq;
    const map = this.tableOf(sock);
    yield* softirq.disable('tcp_fastretrans_alert');
    const threshold = yield* this.call(sock, map, 'ssthresh', []);
    yield* this.call(sock, map, 'set_state', [TCP_CA_RECOVERY]);
    if (threshold !== undefined) {
      const window = Number(threshold & 0xffffffffn);
      sock.tcp = { ...sock.tcp, snd_ssthresh: window, snd_cwnd: window };
    }
    yield* softirq.enable();
    return this.window(sock);
  }

  private window(sock: InetSock): number {
    sock.refresh();
    return Number(sock.tcp.snd_cwnd ?? 0);
  }

  private tableOf(sock: InetSock): StructOpsMap {
    const map = this.ops.get(sock);
    if (map !== undefined) return map;
    throw SyscallError.of('EINVAL', 'the socket has no congestion control of a program’s');
  }

  /** A member on the socket; what it changed of the shared members is the socket's. */
  private *call(
    sock: InetSock,
    map: StructOpsMap,
    member: string,
    args: readonly (number | bigint)[],
  ): Flow<bigint | undefined> {
    const { memory } = this.kernel;
    const image = this.imageOf(sock);
    for (const name of SHARED)
      this.at(image, name, (at) => memory.view.setUint32(at, Number(sock.tcp[name] ?? 0), true));
    const result = yield* this.tables.call(map, member, [memory.addressOf(image), ...args]);
    const after = { ...sock.tcp };
    for (const name of SHARED)
      this.at(image, name, (at) => {
        after[name] = memory.view.getUint32(at, true);
      });
    sock.tcp = after;
    return result;
  }

  private at(image: number, name: string, body: (at: number) => void): void {
    const { btf } = this.kernel;
    const id = btf?.findByName('tcp_sock', 'struct');
    const found = id === undefined ? undefined : btf!.findMember(id, name);
    if (found !== undefined) body(image + found.bitOffset / 8);
  }

  private imageOf(sock: InetSock): number {
    let image = this.images.get(sock);
    if (image === undefined) {
      const { btf, memory } = this.kernel;
      const id = btf?.findByName('tcp_sock', 'struct');
      image = memory.alloc(id === undefined ? BARE_SIZE : btf!.sizeOf(id), 'readwrite').address32;
      this.images.set(sock, image);
    }
    return image;
  }
}
