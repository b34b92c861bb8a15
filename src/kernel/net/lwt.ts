/**
 * Programs on routes (lightweight tunnels): on packets that come in by a route, go out by it, or are about to be
 * transmitted. Models net/core/lwt_bpf.c: softirqs are off around a program, whoever calls.
 */
import { ProgType } from '../../abi/prog-types.js';
import type { BpfLink } from '../bpf/link.js';
import type { BpfProg } from '../bpf/prog.js';
import { SyscallError } from '../errors.js';
import type { Flow } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import { runOnce } from './context-run.js';
import { addressOf } from './ip-address.js';
import type { SkBuff } from './skb.js';

/** Answers of a program (`enum bpf_ret_code`). */
export const LwtAction = { BPF_OK: 0, BPF_DROP: 2, BPF_REDIRECT: 7, BPF_LWT_REROUTE: 128 } as const;

/** Which of a route's programs, by the program's type. */
const HOOKS: Partial<Record<ProgType, LwtHook>> = {
  [ProgType.lwt_in]: 'in',
  [ProgType.lwt_out]: 'out',
  [ProgType.lwt_xmit]: 'xmit',
  [ProgType.lwt_seg6local]: 'in',
};
export type LwtHook = 'in' | 'out' | 'xmit';

interface TunnelRoute {
  readonly prefix: Uint8Array;
  readonly length: number;
  readonly progs: Partial<Record<LwtHook, BpfProg>>;
}

export class TunnelRoutes {
  private readonly routes: TunnelRoute[] = [];

  constructor(private readonly tracing: Tracing) {}

  /** `prefix`: such as `10.0.0.0/8`. Throws `SyscallError`: EINVAL for no prefix, EEXIST where there is one of its kind. */
  attach(link: BpfLink, prefix: string): () => void {
    const { prog } = link;
    const { address, length } = parsePrefix(prefix, prog);
    const hook = HOOKS[prog.type] ?? 'xmit';
    let route = this.routes.find((r) => r.length === length && covers(address, r.length, r.prefix));
    if (route === undefined) {
      route = { prefix: address, length, progs: {} };
      this.routes.push(route);
    }
    if (route.progs[hook] !== undefined)
      throw SyscallError.of('EEXIST', `the route ${prefix} has a program on its way ${hook}`, {
        symbol: prog.name,
      });
    const { progs } = route;
    progs[hook] = prog;
    return () => {
      delete progs[hook];
    };
  }

  /** What the program of the route to an address answers; undefined where there is none. */
  *run(hook: LwtHook, to: Uint8Array, skb: SkBuff): Flow<number | undefined> {
    const prog = this.of(to)?.progs[hook];
    if (prog === undefined) return undefined;
    const { softirq } = this.tracing.kernel.irq;
    yield* softirq.disable('run_lwt_bpf');
    skb.pointers.show(prog.verified);
    skb.sync();
    const packet = { region: skb.region, networkOffset: 0 };
    const answer = yield* runOnce(this.tracing, prog, { args: [skb.context.address], packet, net: { skb } });
    yield* softirq.enable();
    return answer;
  }

  private of(to: Uint8Array): TunnelRoute | undefined {
    let best: TunnelRoute | undefined;
    for (const route of this.routes) {
      if (covers(to, route.length, route.prefix) && (best === undefined || route.length > best.length))
        best = route;
    }
    return best;
  }
}

function covers(address: Uint8Array, length: number, prefix: Uint8Array): boolean {
  if (address.length !== prefix.length) return false;
  for (let bit = 0; bit < length; bit++) {
    const mask = 0x80 >> (bit & 7);
    if (((address[bit >> 3]! ^ prefix[bit >> 3]!) & mask) !== 0) return false;
  }
  return true;
}

function parsePrefix(text: string, prog: BpfProg): { readonly address: Uint8Array; readonly length: number } {
  const [ip = '', length = ''] = text.split('/');
  const address = addressOf(ip);
  const bits = length === '' ? (address?.length ?? 0) * 8 : Number(length);
  if (address !== undefined && Number.isInteger(bits) && bits >= 0 && bits <= address.length * 8)
    return { address, length: bits };
  throw SyscallError.of('EINVAL', `"${text}" is no prefix of addresses`, { symbol: prog.name });
}
