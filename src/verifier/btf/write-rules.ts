/**
 * Fields of kernel objects that programs of some types may write: `btf_struct_access` of `struct bpf_verifier_ops`, Linux
 * 6.18 (net/ipv4/bpf_tcp_ca.c, net/bpf/bpf_dummy_struct_ops.c, net/netfilter/nf_conntrack_bpf.c). Offsets come from
 * the kernel's types.
 */
import { ProgType } from '../../abi/prog-types.js';
import type { Btf } from '../../object/btf/btf.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import type { Reg } from '../reg.js';
import { kernelStruct } from './kernel-types.js';

/** A path of members from a structure; `anywhere`: a write may begin inside the field. */
interface Writable {
  readonly struct: string;
  readonly path: readonly string[];
  readonly anywhere?: boolean;
}

const field = (struct: string, path: string, anywhere = false): Writable => ({
  struct,
  path: path.split('.'),
  anywhere,
});

const TCP_SOCK: readonly Writable[] = [
  field('sock', 'sk_pacing_rate'),
  field('sock', 'sk_pacing_status'),
  field('inet_connection_sock', 'icsk_ca_priv', true),
  field('inet_connection_sock', 'icsk_ack.pending'),
  field('tcp_sock', 'snd_cwnd'),
  field('tcp_sock', 'snd_cwnd_cnt'),
  field('tcp_sock', 'snd_cwnd_stamp'),
  field('tcp_sock', 'snd_ssthresh'),
  field('tcp_sock', 'ecn_flags'),
  field('tcp_sock', 'app_limited'),
];
const NF_CONN: readonly Writable[] = [field('nf_conn', 'mark')];

/** Which rule writes of this program follow; undefined: nothing of the kernel's may be written. */
function ruleOf(v: Verifier): 'tcp_sock' | 'bpf_dummy_ops' | 'nf_conn' | undefined {
  switch (v.env.type) {
    case ProgType.sched_cls:
    case ProgType.sched_act:
    case ProgType.xdp:
      return 'nf_conn';
    case ProgType.struct_ops:
      if (v.env.attach?.name === 'tcp_congestion_ops') return 'tcp_sock';
      return v.env.attach?.name === 'bpf_dummy_ops' ? 'bpf_dummy_ops' : undefined;
    default:
      return undefined;
  }
}

export function hasWriteRule(v: Verifier): boolean {
  return ruleOf(v) !== undefined;
}

/** May `size` bytes at `off` of the kernel object behind `reg` be written? */
export function checkKernelWrite(v: Verifier, reg: Reg, off: number, size: number): void {
  const btf = reg.btf!;
  const is = (name: string): boolean => reg.btfId === kernelStruct(v, name);
  switch (ruleOf(v)) {
    case 'bpf_dummy_ops':
      if (!is('bpf_dummy_ops_state')) v.denied('only access to bpf_dummy_ops_state is supported');
      if (off + size > btf.sizeOf(reg.btfId)) v.denied(`write access at off ${off} with size ${size}`);
      return;
    case 'tcp_sock':
      if (!is('tcp_sock')) v.denied('only read is supported');
      checkFields(v, btf, TCP_SOCK, 'tcp_sock', off, size);
      return;
    case 'nf_conn':
      if (!is('nf_conn') && !is('nf_conn___init')) v.denied('only read is supported');
      checkFields(v, btf, NF_CONN, 'nf_conn', off, size);
      return;
    default:
      v.reject(ERRNO.EACCES, 'only read is supported');
  }
}

function checkFields(
  v: Verifier,
  btf: Btf,
  fields: readonly Writable[],
  struct: string,
  off: number,
  size: number,
): void {
  for (const writable of fields) {
    const found = locate(v, btf, writable);
    if (found === undefined) continue;
    const { start, end } = found;
    if (writable.anywhere === true ? off < start || off >= end : off !== start) continue;
    if (off + size <= end) return;
    v.denied(`write access at off ${off} with size ${size} beyond the member of ${struct} ended at ${end}`);
  }
  v.denied(`no write support to ${struct} at off ${off}`);
}

/** Bytes of a field, counted from the start of its structure, which lies at the start of what is written. */
function locate(
  v: Verifier,
  btf: Btf,
  { struct, path }: Writable,
): { start: number; end: number } | undefined {
  let id = kernelStruct(v, struct);
  let start = 0;
  for (const name of path) {
    const found = btf.findMember(id, name);
    if (found === undefined) return undefined;
    start += found.bitOffset >>> 3;
    id = btf.skipModifiersAndTypedefs(found.member.type);
  }
  return { start, end: start + btf.sizeOf(id) };
}
