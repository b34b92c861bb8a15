/**
 * Arguments of functions as their BTF describes them (`btf_prepare_func_args` of Linux 6.18, kernel/bpf/btf.c): global
 * functions are verified for any arguments of these types, and callers have to pass such.
 */
import { ProgType } from '../abi/prog-types.js';
import type { Btf } from '../object/btf/btf.js';
import type { BtfFunc, BtfType } from '../object/btf/types.js';
import type { FuncArg, Subprog, Verifier } from './context.js';
import { ERRNO } from './errno.js';
import { PTR_MAYBE_NULL } from './reg-type.js';

const MAX_ARGS = 5;
const SK_BUFF = ['__sk_buff', 'sk_buff'];
const PT_REGS = ['bpf_user_pt_regs_t', 'pt_regs', 'user_regs_struct'];

/** What the context's type may be called, by program type. */
const CONTEXT_NAMES: ReadonlyMap<number, readonly string[]> = new Map([
  [ProgType.socket_filter, SK_BUFF],
  [ProgType.sched_cls, SK_BUFF],
  [ProgType.sched_act, SK_BUFF],
  [ProgType.xdp, ['xdp_md', 'xdp_buff']],
  [ProgType.cgroup_skb, SK_BUFF],
  [ProgType.cgroup_sock, ['bpf_sock', 'sock']],
  [ProgType.cgroup_sock_addr, ['bpf_sock_addr', 'bpf_sock_addr_kern']],
  [ProgType.lwt_in, SK_BUFF],
  [ProgType.lwt_out, SK_BUFF],
  [ProgType.lwt_xmit, SK_BUFF],
  [ProgType.lwt_seg6local, SK_BUFF],
  [ProgType.sock_ops, ['bpf_sock_ops', 'bpf_sock_ops_kern']],
  [ProgType.sk_skb, SK_BUFF],
  [ProgType.sk_msg, ['sk_msg_md', 'sk_msg']],
  [ProgType.flow_dissector, [...SK_BUFF, 'bpf_flow_dissector']],
  [ProgType.kprobe, PT_REGS],
  [ProgType.tracepoint, ['__u64', 'u64']],
  [ProgType.perf_event, ['bpf_perf_event_data', 'bpf_perf_event_data_kern']],
  [ProgType.raw_tracepoint, ['bpf_raw_tracepoint_args', 'u64']],
  [ProgType.raw_tracepoint_writable, ['bpf_raw_tracepoint_args', 'u64']],
  [ProgType.cgroup_device, ['bpf_cgroup_dev_ctx']],
  [ProgType.cgroup_sysctl, ['bpf_sysctl', 'bpf_sysctl_kern']],
  [ProgType.cgroup_sockopt, ['bpf_sockopt', 'bpf_sockopt_kern']],
  [ProgType.sk_reuseport, ['sk_reuseport_md', 'sk_reuseport_kern']],
  [ProgType.sk_lookup, ['bpf_sk_lookup', 'bpf_sk_lookup_kern']],
  [ProgType.lirc_mode2, ['__u32', 'u32']],
  [ProgType.netfilter, ['bpf_nf_ctx']],
]);

/** Reads a function's arguments once. @throws Rejection where the BTF does not say enough. */
export function prepareArgs(v: Verifier, index: number): readonly FuncArg[] {
  const subprog = v.subprogs[index]!;
  if (subprog.args !== null) return subprog.args;
  const typeId = v.request.funcInfo![index]!.typeId;
  const btf = v.btf!;
  const func = btf.type(typeId) as BtfFunc;
  const proto = btf.type(func.type);
  if (proto.kind !== 'func_proto') v.reject(ERRNO.EFAULT, `Invalid type of function ${func.name}()`);
  const { isGlobal, name } = subprog;
  if (proto.params.length > MAX_ARGS) {
    softInvalid(
      v,
      isGlobal,
      `Global function ${name}() with ${proto.params.length} > ${MAX_ARGS} args. Buggy compiler.`,
    );
  }
  if (!isScalar(plain(btf, proto.type))) {
    softInvalid(v, isGlobal, `Global function ${name}() doesn't return scalar. Only those are supported.`);
  }
  const reader = new ArgReader(v, btf, subprog, typeId);
  const args = proto.params.map(({ type }, i) => reader.read(type, i));
  subprog.args = args;
  return args;
}

function softInvalid(v: Verifier, isGlobal: boolean, line: string): never {
  return isGlobal ? v.invalid(line) : v.reject(ERRNO.EINVAL);
}

const plain = (btf: Btf, id: number): BtfType => btf.type(btf.skipModifiersAndTypedefs(id));
const isScalar = (type: BtfType): boolean =>
  type.kind === 'int' || type.kind === 'enum' || type.kind === 'enum64';

class ArgReader {
  readonly #v: Verifier;
  readonly #btf: Btf;
  readonly #subprog: Subprog;
  readonly #tags: ReadonlyMap<number, readonly string[]>;

  constructor(v: Verifier, btf: Btf, subprog: Subprog, typeId: number) {
    this.#v = v;
    this.#btf = btf;
    this.#subprog = subprog;
    this.#tags = argTags(btf).get(typeId) ?? new Map();
  }

  read(typeId: number, i: number): FuncArg {
    const v = this.#v;
    const { isGlobal, name } = this.#subprog;
    const tags = this.#tags.get(i) ?? [];
    if (tags.length > 0 && !isGlobal) {
      v.reject(ERRNO.EOPNOTSUPP, `arg#${i} type tag is not supported in static functions`);
    }
    const type = plain(this.#btf, typeId);
    if (type.kind === 'ptr') return this.#readPointer(type.type, i, tags);
    if (tags.length > 0) v.invalid(`arg#${i} has pointer tag, but is not a pointer type`);
    if (isScalar(type)) return { kind: 'scalar', flags: 0, memSize: 0 };
    return softInvalid(v, isGlobal, `Arg#${i} type ${kindText(type)} in ${name}() is not supported yet.`);
  }

  #readPointer(pointee: number, i: number, tags: readonly string[]): FuncArg {
    const v: Verifier = this.#v;
    if (tags.includes('ctx') || this.#isContext(pointee)) {
      if (tags.some((tag) => tag !== 'ctx')) v.invalid(`arg#${i} has invalid combination of tags`);
      return { kind: 'ctx', flags: 0, memSize: 0 };
    }
    if (!this.#subprog.isGlobal) v.reject(ERRNO.EINVAL);
    const other = tags.find((tag) => tag !== 'nonnull' && tag !== 'nullable');
    if (other !== undefined) v.unsupported(`argument tag "${other}"`);
    const target = this.#btf.type(this.#btf.skipModifiers(pointee));
    if (
      plain(this.#btf, pointee).kind === 'struct' &&
      this.#btf.nameOf(this.#btf.skipModifiersAndTypedefs(pointee)) === 'bpf_dynptr'
    ) {
      v.unsupported('dynptr');
    }
    if (tags.includes('nullable')) v.invalid(`arg#${i} has invalid combination of tags`);
    const memSize = this.#sizeOf(pointee);
    if (memSize === undefined) {
      const text = `('${kindText(target)} ${target.name}')`;
      v.invalid(`arg#${i} reference type${text} size cannot be determined: -22`);
    }
    return { kind: 'mem', flags: tags.includes('nonnull') ? 0 : PTR_MAYBE_NULL, memSize };
  }

  #sizeOf(id: number): number | undefined {
    try {
      return this.#btf.sizeOf(id);
    } catch {
      return undefined;
    }
  }

  #isContext(pointee: number): boolean {
    const names = CONTEXT_NAMES.get(this.#v.progType);
    if (names === undefined) return false;
    for (let id = this.#btf.skipModifiers(pointee); ; ) {
      const type = this.#btf.type(id);
      if (names.includes(type.name)) return true;
      if (type.kind !== 'typedef') return false;
      id = this.#btf.skipModifiers(type.type);
    }
  }
}

const KIND_TEXT: Readonly<Record<string, string>> = {
  void: 'UNKNOWN',
  int: 'INT',
  ptr: 'PTR',
  array: 'ARRAY',
  struct: 'STRUCT',
  union: 'UNION',
  enum: 'ENUM',
  fwd: 'FWD',
  typedef: 'TYPEDEF',
  func: 'FUNC',
  func_proto: 'FUNC_PROTO',
  float: 'FLOAT',
  enum64: 'ENUM64',
};

const kindText = ({ kind }: BtfType): string => KIND_TEXT[kind] ?? kind.toUpperCase();

type TagIndex = Map<number, Map<number, string[]>>;
const tagIndexes = new WeakMap<Btf, TagIndex>();

/** `arg:` declaration tags: function, argument, tags. */
function argTags(btf: Btf): TagIndex {
  let index = tagIndexes.get(btf);
  if (index !== undefined) return index;
  index = new Map();
  for (let id = btf.firstId; id < btf.typeCount; id++) {
    if (btf.kindOf(id) !== 'decl_tag') continue;
    const tag = btf.type(id);
    if (tag.kind !== 'decl_tag' || !tag.name.startsWith('arg:') || tag.componentIndex < 0) continue;
    const ofFunc = index.get(tag.type) ?? new Map<number, string[]>();
    const list = ofFunc.get(tag.componentIndex) ?? [];
    list.push(tag.name.slice(4));
    ofFunc.set(tag.componentIndex, list);
    index.set(tag.type, ofFunc);
  }
  tagIndexes.set(btf, index);
  return index;
}
