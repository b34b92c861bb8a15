/**
 * Programs that implement a member of a kernel structure of functions: `check_struct_ops_btf_id` of Linux 6.18
 * (kernel/bpf/verifier.c) with what the structures known here add (net/ipv4/bpf_tcp_ca.c, net/bpf/bpf_dummy_struct_ops.c).
 */
import type { Btf } from '../../object/btf/btf.js';
import { isComposite } from '../../object/btf/layout.js';
import type { BtfComposite, BtfFuncProto, BtfMember, BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { PTR_MAYBE_NULL, PTR_TO_BTF_ID, PTR_TRUSTED } from '../reg-type.js';
import type { CtxArg } from './attach-info.js';
import { findType, kernelBtf } from './kernel-types.js';

interface StructOps {
  /** Members that programs may implement, with the function that stands in for them (its arguments' names count). */
  readonly stubs: Readonly<Record<string, string>>;
  /** Members whose programs may sleep; undefined: all. */
  readonly sleepable?: ReadonlySet<string>;
}

const tcpStubs = (names: string): Record<string, string> =>
  Object.fromEntries(names.split(' ').map((name) => [name, `bpf_tcp_ca_${name}`]));

const KNOWN: Readonly<Record<string, StructOps>> = {
  tcp_congestion_ops: {
    stubs: {
      ...tcpStubs(
        'ssthresh cong_avoid set_state cwnd_event in_ack_event pkts_acked min_tso_segs cong_control undo_cwnd sndbuf_expand',
      ),
      init: '__bpf_tcp_ca_init',
      release: '__bpf_tcp_ca_release',
    },
  },
  bpf_dummy_ops: {
    stubs: {
      test_1: 'bpf_dummy_ops__test_1',
      test_2: 'bpf_dummy_test_2',
      test_sleepable: 'bpf_dummy_test_sleepable',
    },
    sleepable: new Set(['test_sleepable']),
  },
};

/** A structure of functions that the kernel has registered has a value type for maps. */
export const VALUE_PREFIX = 'bpf_struct_ops_';
const NULLABLE = '__nullable';
const REFERENCED = '__ref';

/** Sets `v.attach` and `v.env.attach`, or rejects the program. `id`: of the structure. */
export function attachStructOps(v: Verifier, id: BtfTypeId): void {
  if (!v.gplCompatible) v.invalid('struct ops programs must have a GPL compatible license');
  const btf = kernelBtf(v, 'struct_ops program');
  const type = btf.has(id) ? btf.type(id) : undefined;
  if (
    type === undefined ||
    !isComposite(type) ||
    findType(btf, VALUE_PREFIX + type.name, 'struct') === undefined
  ) {
    v.reject(ERRNO.ENOTSUPP, `attach_btf_id ${id} is not a supported struct`);
  }
  const ops = Object.hasOwn(KNOWN, type.name) ? KNOWN[type.name] : undefined;
  if (ops === undefined) v.unsupported(`struct_ops program for ${type.name}`);
  const index = v.env.expectedAttachType;
  const member = type.members[index];
  if (member === undefined) v.invalid(`attach to invalid member idx ${index} of struct ${type.name}`);
  const proto = memberProto(btf, member);
  if (proto === undefined) {
    v.invalid(`attach to invalid member ${member.name}(@idx ${index}) of struct ${type.name}`);
  }
  checkMember(v, ops, type, member);
  const { name } = member;
  const args = stubArgs(btf, ops.stubs[name] ?? '', proto);
  v.attach = { btf, id, name, proto, skipsFirstArg: false, args, trusted: true };
  v.env = { ...v.env, attach: { name: type.name, member: name, returnsVoid: proto.type === 0 } };
}

/** Prototype of a member that is a pointer to a function. */
function memberProto(btf: Btf, member: BtfMember): BtfFuncProto | undefined {
  const pointer = btf.underlying(member.type);
  if (pointer.kind !== 'ptr') return undefined;
  const proto = btf.underlying(pointer.type);
  return proto.kind === 'func_proto' ? proto : undefined;
}

function checkMember(v: Verifier, ops: StructOps, { name }: BtfComposite, member: BtfMember): void {
  const line = `attach to unsupported member ${member.name} of struct ${name}`;
  if (!Object.hasOwn(ops.stubs, member.name)) v.reject(ERRNO.ENOTSUPP, line);
  if (v.sleepable && ops.sleepable !== undefined && !ops.sleepable.has(member.name)) v.invalid(line);
}

/** What the names of the stub's arguments say of pointers to structures: may be null, comes with a reference. */
function stubArgs(btf: Btf, stub: string, proto: BtfFuncProto): CtxArg[] {
  const func = findType(btf, stub, 'func');
  const type = func === undefined ? undefined : btf.type(func);
  const stubProto = type?.kind === 'func' ? btf.type(type.type) : undefined;
  if (stubProto?.kind !== 'func_proto') return [];
  const args: CtxArg[] = [];
  let off = 0;
  proto.params.forEach((param, i) => {
    const name = stubProto.params[i]?.name ?? '';
    const nullable = name.endsWith(NULLABLE);
    const referenced = name.endsWith(REFERENCED);
    const pointer = btf.underlying(param.type);
    if (pointer.kind === 'ptr' && (nullable || referenced)) {
      const btfId = btf.skipModifiersAndTypedefs(pointer.type);
      const regType = PTR_TO_BTF_ID | PTR_TRUSTED | (nullable ? PTR_MAYBE_NULL : 0);
      args.push({ off, regType, btfId, referenced });
    }
    off += pointer.kind === 'ptr' ? 8 : Math.ceil(btf.sizeOf(param.type) / 8) * 8;
  });
  return args;
}
