/**
 * Prototypes against the running kernel, argument by argument: a call whose arguments are right up to one, and wrong in
 * one way there. The kernel's first complaint about that register tells what it expected; after a call that is right
 * throughout, R0 and a packet pointer tell the rest.
 */
import { HELPER_PROTOS, type HelperArg, type HelperProto } from '../../../src/abi/helper-protos.js';
import { helperVariant } from '../../../src/verifier/env/helper-sets.js';
import { ctxAccess, helperProto, isRefusal, mayAccessPacket } from '../../../src/verifier/env/index.js';
import { regTypeText } from '../../../src/verifier/reg-type.js';
import { complaint, request, type SweepEnv, sweepEnvs } from './env.js';
import { ask } from './kernel.js';
import {
  fetchObject,
  loadValue,
  MEM_OFF,
  mapsFor,
  PLAIN_INDEX,
  prologue,
  RODATA_INDEX,
  readOnlySlice,
  satisfy,
} from './probe-setup.js';

/** What the log lists for the kinds of arguments, as Linux 6.18 does. */
const MEMORY = 'fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_';
const EXPECTED: Readonly<Record<Exclude<HelperArg['kind'], 'any' | 'stack'>, string>> = {
  map: 'map_ptr',
  map_key: MEMORY,
  map_value: MEMORY,
  mem: MEMORY,
  size: 'scalar',
  size_or_zero: 'scalar',
  alloc_size_or_zero: 'scalar',
  scalar: 'scalar',
  ctx: 'ctx',
  spin_lock: 'map_value, ptr_',
  timer: 'map_value',
  sock_common: 'sock_common, sock, tcp_sock, xdp_sock',
  btf_id_sock_common: 'sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_',
  socket: 'sock',
  btf_id: 'ptr_, trusted_ptr_, rcu_ptr_',
  percpu_btf_id: 'percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_',
  ringbuf_mem: 'ringbuf_mem',
  func: 'func',
  const_str: 'map_value',
  kptr_xchg_dest: 'map_value, ptr_',
  dynptr: 'fp, dynptr_ptr',
};
const NUMBERS: ReadonlySet<string> = new Set(['size', 'size_or_zero', 'alloc_size_or_zero', 'scalar']);
const TAIL_CALL = 12;
/** No result: one does not come back, the others want more of their arguments than kinds say. */
const NOT_CALLED: ReadonlySet<string> = new Set(['tail_call', 'sk_release', 'dynptr_from_mem']);
const LOG_CHARS = 40_000;

/** One program, what our table says, and what to read from the kernel's answer. */
interface Probe {
  readonly what: string;
  readonly request: object;
  readonly ours: string;
  readonly theirs: (line: string, log: string) => string;
}

class Prober {
  readonly probes: Probe[] = [];

  constructor(
    private readonly at: SweepEnv,
    private readonly proto: HelperProto,
  ) {}

  /** Instructions for the arguments before `upTo`; undefined where one of them cannot be had. */
  private before(upTo: number): string[] | undefined {
    const lines = [prologue()];
    const args = this.proto.args.slice(0, upTo);
    for (const arg of args) {
      const object = fetchObject(this.at, arg);
      if (object === undefined) return undefined;
      if (object !== '') lines.push(object);
    }
    for (const [i, arg] of args.entries()) {
      const line = satisfy(i + 1, arg);
      if (line === undefined) return undefined;
      lines.push(line);
    }
    return lines;
  }

  /** A program with `lines` in the place of argument `i`, and of those behind it what `lines` sets. */
  private add(
    i: number,
    what: string,
    lines: string[],
    ours: string,
    theirs: Probe['theirs'],
    level = 1,
  ): void {
    const head = this.before(i);
    if (head === undefined) return;
    const { at, proto } = this;
    const text = [...head, ...lines, `call ${proto.id}`, 'out:', 'r0 = 1', 'exit'].join('\n');
    const variant = proto.variant === '' ? '' : `/${proto.variant}`;
    this.probes.push({
      what: `${proto.name}${variant} argument ${i + 1} (${at.name}): ${what}`,
      request: request(at, text, { maps: mapsFor(at, proto), log_level: level }),
      ours,
      theirs,
    });
  }

  argument(i: number): void {
    const arg = this.proto.args[i]!;
    const reg = i + 1;
    if (arg.kind === 'any') {
      this.add(i, 'unset', [], `R${reg} !read_ok`, (line) => line);
      return;
    }
    if (arg.kind === 'stack') return;
    const isNumber = NUMBERS.has(arg.kind);
    const wrong = `R${reg} type=${isNumber ? 'fp' : 'scalar'} expected=${EXPECTED[arg.kind]}`;
    this.add(i, 'wrong type', [isNumber ? `r${reg} = r10` : `r${reg} = 7`], wrong, (line) => line);
    if (!isNumber)
      this.add(i, 'null', [`r${reg} = 0`], arg.nullable ? 'goes on' : wrong, (line) =>
        line.startsWith(`R${reg} type=`) ? line : 'goes on',
      );
    if (arg.kind === 'size' || arg.kind === 'size_or_zero') this.size(i, arg);
    if (arg.kind === 'alloc_size_or_zero') this.constant(i);
    if (arg.kind === 'mem' || arg.kind === 'map_value') this.memory(i, arg);
  }

  private size(i: number, arg: HelperArg): void {
    const ours = arg.kind === 'size' ? `R${i + 1} invalid zero-sized read: u64=[0,0]` : 'goes on';
    const isZeroSized = /invalid zero-sized read/;
    this.add(i, 'zero', [`r${i + 1} = 0`], ours, (line) => (isZeroSized.test(line) ? line : 'goes on'));
  }

  private constant(i: number): void {
    const ours = `R${i + 1} is not a known constant'`;
    this.add(i, 'unknown', [`r${i + 1} = r9`], ours, (line) => line);
  }

  /** Read-only values, read-only memory, sizes and alignment. */
  private memory(i: number, arg: HelperArg): void {
    const reg = i + 1;
    const next = this.proto.args[reg];
    const setSize = next !== undefined && NUMBERS.has(next.kind) ? [`r${reg + 1} = 4`] : [];
    if (arg.kind === 'mem' && arg.fixedSize === undefined && setSize.length === 0) return;
    const forbidden = /^write into map forbidden/;
    const judge = (line: string): string => (forbidden.test(line) ? 'forbidden' : 'goes on');
    const rodata = [loadValue(reg, RODATA_INDEX), ...setSize];
    this.add(i, 'read-only value', rodata, arg.writes ? 'forbidden' : 'goes on', judge);
    if (arg.kind === 'mem') this.readOnlyMemory(i, arg, setSize);
    if (arg.fixedSize !== undefined) this.fixed(i, arg, arg.fixedSize);
  }

  /** A slice of a dynptr may be read and no more. */
  private readOnlyMemory(i: number, arg: HelperArg, setSize: string[]): void {
    const head = this.before(i);
    const slice = readOnlySlice(8);
    if (head === undefined || slice === undefined) return;
    const reg = i + 1;
    const [start, ...args] = head;
    const { at, proto } = this;
    const call = [`r${reg} = r8`, ...setSize, `call ${proto.id}`, 'out:', 'r0 = 1', 'exit'];
    const mine = `R${reg} type=rdonly_mem`;
    this.probes.push({
      what: `${proto.name} argument ${reg} (${at.name}): read-only memory`,
      request: request(at, [start!, slice, ...args, ...call].join('\n'), {
        maps: mapsFor(at, proto),
        log_level: 1,
      }),
      ours: arg.readOnly ? 'goes on' : `${mine} expected=${MEMORY}`,
      theirs: (line) => (/rdonly|^R8|^R0/.test(line) ? line : 'goes on'),
    });
  }

  private fixed(i: number, arg: HelperArg, bytes: number): void {
    const reg = i + 1;
    const off = 64 - bytes + 1;
    const lines = [loadValue(reg, PLAIN_INDEX, off)];
    if (!arg.aligned) {
      const ours = `invalid access to map value, value_size=64 off=${off} size=${bytes}`;
      this.add(i, 'one byte short', lines, ours, (line) => line);
      return;
    }
    // Alignment is asked first, so that the size shows in a value that ends aligned.
    const short = 64 - bytes / 2;
    const text = `invalid access to map value, value_size=64 off=${short} size=${bytes}`;
    this.add(i, 'short', [loadValue(reg, PLAIN_INDEX, short)], text, (line) =>
      line.startsWith('misaligned') ? text : line,
    );
    const stack = [`r${reg} = r10`, `r${reg} += ${MEM_OFF + 1}`];
    this.add(i, 'misaligned', stack, 'misaligned', (line) => line.split(' ')[0]!);
  }

  /** After a call that is right throughout: what R0 holds. */
  result(): void {
    const { ret, args, name, id } = this.proto;
    if (ret.kind === 'mem_or_btf_id' || NOT_CALLED.has(name)) return;
    // The first mention of the call is in the table of live registers. Where nothing is returned, the next R0 is the
    // number that the program sets.
    const call = `call bpf_${name}#${id}`;
    const after = (log: string): string | undefined =>
      /\bR0(?:_w)?=([a-z_0-9]+)/.exec(log.slice(log.lastIndexOf(call)))?.[1]?.replace(/^\d+$/, 'void');
    this.add(
      args.length,
      'result',
      [],
      resultText(this.proto),
      (line, log) => (log.includes(call) ? after(log) : undefined) ?? line,
      2,
    );
  }

  /** Packet pointers as arguments, and behind the call. Only where the context has them. */
  packets(): void {
    const pointer = packetPointer(this.at);
    if (pointer === undefined) return;
    const { at, proto } = this;
    // A tail call from the main program comes back only where it failed, and changed nothing.
    const full = proto.id === TAIL_CALL ? undefined : this.before(proto.args.length);
    if (full !== undefined) {
      const [start, ...args] = full;
      const text = [
        start!,
        pointer,
        ...args,
        `call ${proto.id}`,
        'r0 = *(u8 *)(r8 + 0)',
        'out:',
        'r0 = 1',
        'exit',
      ];
      this.probes.push({
        what: `${proto.name} (${at.name}): packet pointer behind it`,
        request: request(at, text.join('\n'), { maps: mapsFor(at, proto), log_level: 1 }),
        ours: proto.changesPacket ? `R8 invalid mem access 'scalar'` : 'goes on',
        theirs: (line) => (line.startsWith('R8 ') ? line : 'goes on'),
      });
    }
    const allowed = mayAccessPacket(at.env, false, proto.pktAccess);
    for (const [i, arg] of proto.args.entries()) {
      const head = this.before(i);
      if (head === undefined || !['mem', 'map_key', 'map_value'].includes(arg.kind)) continue;
      const [start, ...args] = head;
      const size = proto.args[i + 1]?.kind.startsWith('size') === true ? [`r${i + 2} = 8`] : [];
      const text = [
        start!,
        pointer,
        ...args,
        `r${i + 1} = r8`,
        ...size,
        `call ${proto.id}`,
        'out:',
        'r0 = 1',
        'exit',
      ];
      this.probes.push({
        what: `${proto.name} argument ${i + 1} (${at.name}): packet`,
        request: request(at, text.join('\n'), { maps: mapsFor(at, proto), log_level: 1 }),
        ours: allowed ? 'goes on' : 'helper access to the packet is not allowed',
        theirs: (line) => (line.startsWith('helper access') ? line : 'goes on'),
      });
    }
  }
}

function resultText({ ret }: HelperProto): string {
  if (ret.kind === 'int') return 'scalar';
  const null_ = ret.nullable ? '_or_null' : '';
  if (ret.kind === 'btf_id')
    return `${ret.trusted ? 'trusted_' : ''}ptr_${ret.nullable ? 'or_null_' : ''}${ret.struct ?? ''}`;
  if (ret.kind === 'mem') return `${ret.ringbuf ? 'ringbuf_' : ''}mem${null_}`;
  if (ret.kind === 'socket') return `sock${null_}`;
  return `${ret.kind}${null_}`;
}

/** Puts a pointer to at least 64 bytes of the packet into r8. */
function packetPointer({ env }: SweepEnv): string | undefined {
  for (const size of [4, 8]) {
    const at = (name: string): number | undefined => {
      for (let off = 0; off < 256; off += size) {
        const field = ctxAccess(env, off, size, false);
        if (field !== undefined && regTypeText(field.regType) === name) return off;
      }
      return undefined;
    };
    const [data, end] = [at('pkt'), at('pkt_end')];
    if (data === undefined || end === undefined) continue;
    const unit = `u${8 * size}`;
    return [
      `r8 = *(${unit} *)(r6 + ${data})`,
      `r2 = *(${unit} *)(r6 + ${end})`,
      'r3 = r8',
      'r3 += 64',
      'if r3 > r2 goto out',
    ].join('\n');
  }
  return undefined;
}

/** All probes; prints what differs and returns how many do. */
export function probeArgs(): number {
  const envs = sweepEnvs();
  const probes: Probe[] = [];
  const unreachable: string[] = [];
  for (const proto of HELPER_PROTOS) {
    const fits = envs.filter(
      ({ env }) => helperVariant(env, proto.name) === proto.variant && !isRefusal(helperProto(env, proto.id)),
    );
    const first = fits[0];
    if (first === undefined) {
      unreachable.push(proto.name);
      continue;
    }
    const prober = new Prober(first, proto);
    proto.args.forEach((_, i) => {
      prober.argument(i);
    });
    prober.result();
    const withPackets = fits.find((at) => packetPointer(at) !== undefined);
    const packets = withPackets === undefined ? undefined : new Prober(withPackets, proto);
    packets?.packets();
    probes.push(...prober.probes, ...(packets?.probes ?? []));
  }
  const answers = ask(
    probes.map((probe) => probe.request),
    LOG_CHARS,
  );
  let differ = 0;
  probes.forEach((probe, i) => {
    const { log, verdict, map, errno } = answers[i]!;
    const theirs =
      verdict === 'map_error'
        ? `map ${map}: errno ${errno}`
        : probe.theirs(complaint(log, LOG_CHARS), log ?? '');
    if (theirs === probe.ours) return;
    differ++;
    if (differ <= 60) console.log(`${probe.what}\n  ours:   ${probe.ours}\n  kernel: ${theirs}`);
  });
  console.log(
    `helper-sweep: ${probes.length} probes of ${HELPER_PROTOS.length - unreachable.length} prototypes, ${differ} differ; ` +
      `not to be had here: ${unreachable.join(' ')}`,
  );
  return differ;
}
