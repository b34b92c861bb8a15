/**
 * Netfilter's hooks, with programs on them in the order of their priorities. A program that answers NF_DROP ends the
 * packet's way. Models net/netfilter/core.c (`nf_hook_slow`) and nf_bpf_link.c of Linux 6.18.
 */
import { NF_CTX } from '../../abi/context/netfilter.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import { SyscallError } from '../errors.js';
import { KernelObject } from '../lib/kernel-object.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import { runOnce } from './context-run.js';
import type { SkBuff } from './skb.js';
import { SocketFamily } from './sock.js';

/** `enum nf_inet_hooks`, by the names that scripts use for them. */
export const NfHook = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
export type NfHookName = keyof typeof NfHook;

/** Protocol families: NFPROTO_IPV4 and NFPROTO_IPV6. */
export const NfProto = { ipv4: 2, ipv6: 10 } as const;
export type NfProtoName = keyof typeof NfProto;

/** Where a program goes; the lower the priority, the earlier. */
export interface NfTarget {
  readonly hook: NfHookName;
  readonly proto: NfProtoName;
  readonly priority: number;
  /** BPF_F_NETFILTER_IP_DEFRAG: fragments are put together first. */
  readonly defrag?: boolean;
}

const NF_DROP = 0;
const NF_ACCEPT = 1;
const PRIORITY_FIRST = -(2 ** 31);
const PRIORITY_LAST = 2 ** 31 - 1;
const PRIORITY_DEFRAG = -400;

/** `struct nf_hook_state`, as programs follow the pointer. */
class HookState extends KernelObject {
  constructor(
    host: Tracing['kernel'],
    private readonly values: Readonly<Record<'hook' | 'pf', number>>,
  ) {
    super(host, 'nf_hook_state');
  }

  protected override fill(): void {
    for (const [name, value] of Object.entries(this.values)) this.put(name, BigInt(value), 1);
  }
}

/** `struct sk_buff` of the packet that a hook sees. */
class PacketImage extends KernelObject {
  constructor(host: Tracing['kernel']) {
    super(host, 'sk_buff');
  }

  show(skb: SkBuff): void {
    this.put('len', BigInt(skb.length), 4);
    this.put('protocol', BigInt(skb.get('protocol')), 2);
    this.put('mark', BigInt(skb.get('mark')), 4);
    this.put('data', this.host.memory.addressOf(skb.data), 8);
  }
}

export class Netfilter {
  private readonly progs = new Map<string, { readonly prog: BpfProg; readonly priority: number }[]>();
  private readonly states = new Map<string, HookState>();
  private readonly image: PacketImage;

  constructor(private readonly tracing: Tracing) {
    this.image = new PacketImage(tracing.kernel);
  }

  /** Throws `SyscallError`: ERANGE for a priority that is not to be had, EBUSY for one that a program has there. */
  attach(link: BpfLink, target: NfTarget): () => void {
    const { priority, defrag = false } = target;
    const symbol = { symbol: link.prog.name };
    const reserved = priority <= PRIORITY_FIRST || priority >= PRIORITY_LAST || !Number.isInteger(priority);
    if (reserved) throw SyscallError.of('ERANGE', `${priority} is no priority for a program`, symbol);
    if (defrag && priority <= PRIORITY_DEFRAG)
      throw SyscallError.of(
        'ERANGE',
        `fragments are put together at ${PRIORITY_DEFRAG}, after ${priority}`,
        symbol,
      );
    const key = `${target.proto}:${target.hook}`;
    const list = this.progs.get(key) ?? [];
    this.progs.set(key, list);
    if (list.some((other) => other.priority === priority))
      throw SyscallError.of('EBUSY', `a program has priority ${priority} of ${key}`, symbol);
    const entry = { prog: link.prog, priority };
    list.push(entry);
    list.sort((a, b) => a.priority - b.priority);
    return () => {
      list.splice(list.indexOf(entry), 1);
    };
  }

  /** Runs a packet through a hook; the last program's answer, undefined where there is none. */
  *run(hook: NfHookName, family: number, skb: SkBuff): Flow<number | undefined> {
    const proto = family === SocketFamily.AF_INET6 ? 'ipv6' : 'ipv4';
    let verdict: number | undefined;
    for (const { prog } of [...(this.progs.get(`${proto}:${hook}`) ?? [])]) {
      verdict = yield* this.one(prog, hook, proto, skb);
      if (verdict !== NF_ACCEPT) return NF_DROP;
    }
    return verdict;
  }

  private *one(prog: BpfProg, hook: NfHookName, proto: NfProtoName, skb: SkBuff): Flow<number> {
    const { tracing, image } = this;
    const { memory } = tracing;
    image.show(skb);
    skb.kernelImage = image.offset;
    const context = memory.take(NF_CTX.size);
    memory.putFields(context, NF_CTX, { state: this.state(hook, proto).address, skb: image.address });
    skb.pointers.show(prog.verified);
    skb.sync();
    const verdict = yield* runOnce(tracing, prog, { ...tracing.start(context.address), net: { skb } });
    memory.give(context);
    return verdict;
  }

  private state(hook: NfHookName, proto: NfProtoName): HookState {
    const key = `${proto}:${hook}`;
    let state = this.states.get(key);
    if (state === undefined) {
      state = new HookState(this.tracing.kernel, { hook: NfHook[hook], pf: NfProto[proto] });
      this.states.set(key, state);
    }
    return state;
  }
}
