/**
 * What belongs to one run of a program beside its context and packet: where it is attached, what it may answer, what the
 * helpers of its type work on. Whoever starts a run may leave out what it does not know; helpers then answer as Linux does
 * where there is nothing. Models `struct bpf_run_ctx` and the `*_kern` contexts (include/linux/bpf.h, filter.h).
 */
import type { Cgroup } from '../cgroup/cgroup.js';
import type { InetSock } from '../net/inet-sock.js';
import type { Sock } from '../net/sock.js';

/** A file that `bpf_seq_printf` and its kin write to. */
export interface SeqFile {
  /** Bytes that fit. */
  readonly capacity: number;
  data: number[];
  overflowed: boolean;
}

/** A sysctl that is read or written. */
export interface SysctlAccess {
  /** E.g. `net/ipv4/tcp_mem`. */
  readonly name: string;
  readonly current: Uint8Array;
  /** What is to be written; undefined for a read. */
  readonly written?: Uint8Array;
  /** What the program put in its place. */
  replacement?: Uint8Array;
}

/** What a `sk_msg` program asked for. */
export interface SkMsg {
  /** The whole message: the program may see a part of it. */
  data: Uint8Array;
  applyBytes: number;
  corkBytes: number;
}

/** TCP header options of a `sock_ops` program. */
export interface HeaderOptions {
  /** Options of the packet that came, or of what is being sent. */
  readonly options: Uint8Array;
  /** Bytes that may still be reserved or written. */
  room: number;
  written: number[];
}

export interface RunContext {
  /** `bpf_get_attach_cookie`. */
  readonly cookie?: bigint;
  /** `bpf_get_func_ip`. */
  readonly funcIp?: bigint;
  /** A function's arguments lie in the context, its result behind them. */
  readonly argCount?: number;
  /** There is a result: the program runs at a function's exit. */
  readonly hasResult?: boolean;
  /** `bpf_get_retval` and `bpf_set_retval`. */
  retval?: number;
  /** What `bpf_override_return` asked for. */
  overridden?: bigint;
  /** The control group that the program is attached to. */
  readonly cgroup?: Cgroup;
  /** Attach type, for storages of control groups. */
  readonly attachType?: number;
  /** The socket that the run is about. */
  readonly sock?: InetSock;
  readonly seq?: SeqFile;
  readonly sysctl?: SysctlAccess;
  msg?: SkMsg;
  readonly headerOptions?: HeaderOptions;
  /** What a `sk_lookup` or `sk_reuseport` program chose. */
  selected?: Sock | undefined;
  /** Of what the look-up is for. */
  lookupFamily?: number;
  lookupProtocol?: number;
  /** Where a message or packet was sent on to. */
  redirectedTo?: { readonly sock: Sock; readonly flags: number };
  /** `bpf_bprm_opts_set`. */
  secureExec?: boolean;
  /** A session: whether the function returns, and where its cookie lies. */
  readonly session?: { readonly isReturn: boolean; readonly cookie: number };
  /** Value, time enabled and time running of the event that fired. */
  readonly event?: { readonly counter: bigint; readonly enabled: bigint; readonly running: bigint };
  /** Last branches, as `struct perf_branch_entry`. */
  readonly branches?: Uint8Array;
}
