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

/** The bytes of an IPv4 or IPv6 address; undefined for a text that is neither. */
export function addressOf(text: string): Uint8Array | undefined {
  if (text.includes(':')) return ipv6Of(text);
  const parts = text.split('.');
  const good = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
  return good ? Uint8Array.from(parts, Number) : undefined;
}

function ipv6Of(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const words = halves.map((half) => (half === '' ? [] : half.split(':')));
  const [head = [], tail = []] = words;
  const gap = 8 - head.length - tail.length;
  if (halves.length === 2 ? gap < 1 : gap !== 0) return undefined;
  const all = [...head, ...Array.from({ length: gap }, () => '0'), ...tail];
  if (!all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined;
  return Uint8Array.from(
    all.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]),
  );
}

/** As a text: dotted, or words in hexadecimal with the longest run of zeros left out. */
export function addressText(address: Uint8Array): string {
  if (address.length === 4) return [...address].join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16),
  );
  const whole = words.join(':');
  const runs = [...whole.matchAll(/(?:^|:)(0(?::0)+)(?=:|$)/g)].sort((a, b) => b[1]!.length - a[1]!.length);
  const longest = runs[0];
  if (longest === undefined) return whole;
  const before = whole.slice(0, longest.index);
  const after = whole.slice(longest.index + longest[0].length).replace(/^:/, '');
  return `${before}::${after}`;
}
