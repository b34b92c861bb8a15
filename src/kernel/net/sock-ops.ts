/**
 * What happens to TCP sockets, as `sock_ops` programs of their control groups are told. Models `tcp_call_bpf`
 * (include/net/tcp.h): some events are only told where a program has asked for them.
 */
import { AttachType } from '../../abi/attach-types.js';
import type { RunContext } from '../bpf/run-context.js';
import type { Cgroups } from '../cgroup/attach.js';
import { SyscallError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { SocketInput } from './attach-socket.js';
import type { InetSock } from './inet-sock.js';
import { addresses } from './sockmap-progs.js';

/** BPF_SOCK_OPS_*: what is told, and the flag that asks for it (BPF_SOCK_OPS_*_CB_FLAG), 0 where nobody needs to. */
export const SOCK_OPS_EVENTS = {
  timeout_init: { op: 1, flag: 0 },
  rwnd_init: { op: 2, flag: 0 },
  tcp_connect: { op: 3, flag: 0 },
  active_established: { op: 4, flag: 0 },
  passive_established: { op: 5, flag: 0 },
  needs_ecn: { op: 6, flag: 0 },
  base_rtt: { op: 7, flag: 0 },
  rto: { op: 8, flag: 1 },
  retrans: { op: 9, flag: 2 },
  state: { op: 10, flag: 4 },
  tcp_listen: { op: 11, flag: 0 },
  rtt: { op: 12, flag: 8 },
} as const;
export type SockOpsName = keyof typeof SOCK_OPS_EVENTS;

export interface SockOpsEvent {
  readonly name: SockOpsName;
  /** Up to four. */
  readonly args?: readonly number[];
}

const MAX_ARGS = 4;

export class TcpEvents {
  constructor(
    private readonly cgroups: Cgroups,
    private readonly sockets: SocketInput,
  ) {}

  /** The answer of the programs; -1 where there is none, or nobody asked for the event. */
  *event(sock: InetSock, { name, args = [] }: SockOpsEvent): Flow<number> {
    if (!sock.isTcp) throw SyscallError.of('EINVAL', 'sock_ops programs hear of TCP sockets only');
    const known = SOCK_OPS_EVENTS[name];
    if (args.length > MAX_ARGS) throw SyscallError.of('EINVAL', `${name} has at most ${MAX_ARGS} arguments`);
    if (known.flag !== 0 && (sock.callbackFlags & known.flag) === 0) return -1;
    const type = AttachType.cgroup_sock_ops;
    const progs = this.cgroups.effective(this.sockets.groupOf(sock), type);
    if (progs.length === 0) return -1;
    const { bytes, fields } = addresses(sock);
    const list = new Uint8Array(MAX_ARGS * 4);
    for (const [i, arg] of args.entries()) new DataView(list.buffer).setUint32(4 * i, arg, true);
    const run: RunContext = { sock };
    const given = {
      ...fields,
      op: known.op,
      is_fullsock: 1,
      state: sock.state,
      bpf_sock_ops_cb_flags: sock.callbackFlags,
    };
    const input = { bytes: { ...bytes, args: list }, run };
    const { errno, fields: after } = yield* this.cgroups.runHook(progs, type, given, input);
    return errno === 0 ? after.reply! | 0 : -1;
  }
}
