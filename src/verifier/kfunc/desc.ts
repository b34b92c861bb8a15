/**
 * Kernel functions by their BTF id: name, prototype, flags, whether this program may call them. What is found is kept with
 * the verification. Models `add_kfunc_call` and `fetch_kfunc_meta` of Linux 6.18 (kernel/bpf/verifier.c) and
 * `btf_distill_func_proto` (kernel/bpf/btf.c). Modules' functions are refused as Linux does where no module is given.
 */
import { KF, kfuncByName, mayCallKfunc } from '../../abi/kfuncs.js';
import type { Insn } from '../../isa/insn.js';
import type { Btf } from '../../object/btf/btf.js';
import type { BtfParam, BtfType, BtfTypeId } from '../../object/btf/types.js';
import { kernelBtf } from '../btf/kernel-types.js';
import { kindText } from '../btf/kind-text.js';
import type { Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import type { Kfunc, KfuncParam } from './types.js';

const MAX_KFUNCS = 256;
const MAX_PARAMS = 12;

/** The function that a call names, found when the program was read; undefined for a call without a function. */
export function kfuncOf(v: Verifier, insn: Insn): Kfunc | undefined {
  return insn.off === 0 ? v.kfuncs.get(insn.imm) : undefined;
}

/** A call is found while the program is read. */
export function addKfuncCall(v: Verifier, insn: Insn): void {
  if (!v.hasKfuncCalls && !v.gplCompatible) {
    v.invalid('cannot call kernel function from non-GPL compatible program');
  }
  v.hasKfuncCalls = true;
  const { imm: id, off } = insn;
  // Calls that nothing reaches may name nothing.
  if (id === 0 && off === 0) return;
  if (off === 0 && v.kfuncs.has(id)) return;
  if (v.kfuncs.size >= MAX_KFUNCS) v.reject(ERRNO.E2BIG, 'too many different kernel function calls');
  if (id <= 0) v.invalid(`invalid kernel function btf_id ${id}`);
  if (off !== 0) refuseModule(v, off);
  const kfunc = readKfunc(v, id);
  if (kfuncByName(kfunc.name)?.set === 'xdp_metadata') {
    v.invalid('metadata kfuncs require device-bound program');
  }
  v.kfuncs.set(id, kfunc);
}

/** A request holds no module's BTF. */
function refuseModule(v: Verifier, off: number): never {
  v.error(
    off < 0
      ? 'negative offset disallowed for kernel module function call'
      : 'kfunc offset > 0 without fd_array is invalid',
  );
  return v.reject(off < 0 ? ERRNO.EINVAL : ERRNO.EPROTO, 'failed to find BTF for kernel function');
}

const taggedOf = new WeakMap<Btf, ReadonlySet<BtfTypeId>>();

/**
 * Kernels mark the functions that are compiled in and registered; where nothing is marked, all count as such.
 */
function isTagged(btf: Btf, id: BtfTypeId): boolean {
  let tagged = taggedOf.get(btf);
  if (tagged === undefined) {
    tagged = new Set(
      btf.idsByName('bpf_kfunc').flatMap((tagId) => {
        const tag = btf.type(tagId);
        return tag.kind === 'decl_tag' ? [tag.type] : [];
      }),
    );
    taggedOf.set(btf, tagged);
  }
  return tagged.size === 0 || tagged.has(id);
}

function readKfunc(v: Verifier, id: BtfTypeId): Kfunc {
  const btf = kernelBtf(v, 'kernel function call');
  const func = btf.has(id) ? btf.type(id) : undefined;
  if (func?.kind !== 'func') v.invalid(`kernel btf_id ${id} is not a function`);
  const proto = btf.type(func.type);
  if (proto.kind !== 'func_proto') {
    v.invalid(`kernel function btf_id ${id} does not have a valid func_proto`);
  }
  checkModel(v, btf, func.name, proto.type, proto.params);
  const info = kfuncByName(func.name);
  const allowed =
    info !== undefined &&
    isTagged(btf, id) &&
    mayCallKfunc({ type: v.progType, expectedAttachType: v.attachType }, info);
  return {
    id,
    name: func.name,
    btf,
    params: proto.params.map((param) => readParam(btf, param)),
    ret: btf.underlying(proto.type),
    retPointee: pointeeOf(btf, proto.type),
    flags: info?.flags ?? 0,
    allowed,
  };
}

function pointeeOf(btf: Btf, id: BtfTypeId): BtfTypeId {
  const type = btf.underlying(id);
  return type.kind === 'ptr' ? btf.skipModifiersAndTypedefs(type.type) : 0;
}

function readParam(btf: Btf, { name, type }: BtfParam): KfuncParam {
  return { name, type: btf.underlying(type), pointee: pointeeOf(btf, type) };
}

/** What the machine can pass at all. */
function checkModel(v: Verifier, btf: Btf, name: string, ret: BtfTypeId, params: readonly BtfParam[]): void {
  if (params.length > MAX_PARAMS) {
    v.invalid(`The function ${name} has ${params.length} arguments. Too many.`);
  }
  const result = btf.underlying(ret);
  if (!isPassed(result) && result.kind !== 'void') {
    v.invalid(`The function ${name} return type ${kindText(result.kind)} is unsupported.`);
  }
  params.forEach(({ type }, i) => {
    const last = i === params.length - 1;
    if (last && type === 0) v.invalid(`The function ${name} with variable args is unsupported.`);
    const param = btf.underlying(type);
    if (param.kind === 'void') v.invalid(`The function ${name} has malformed void argument.`);
    const small = param.kind === 'struct' && param.size <= 16;
    if (!isPassed(param) && !small) {
      v.invalid(`The function ${name} arg${i} type ${kindText(param.kind)} is unsupported.`);
    }
  });
}

const isPassed = ({ kind }: BtfType): boolean =>
  kind === 'int' || kind === 'ptr' || kind === 'enum' || kind === 'enum64';

export const isSleepableKfunc = (kfunc: Kfunc): boolean => (kfunc.flags & KF.SLEEPABLE) !== 0;
export const isIterNext = (kfunc: Kfunc): boolean => (kfunc.flags & KF.ITER_NEXT) !== 0;
/** Packet data may move (`is_kfunc_pkt_changing`). */
export const changesPacket = (kfunc: Kfunc): boolean => kfunc.name === 'bpf_xdp_pull_data';

const GRAPH = new Set([
  'bpf_list_push_front_impl',
  'bpf_list_push_back_impl',
  'bpf_list_pop_front',
  'bpf_list_pop_back',
  'bpf_list_front',
  'bpf_list_back',
  'bpf_rbtree_add_impl',
  'bpf_rbtree_remove',
  'bpf_rbtree_first',
  'bpf_rbtree_root',
  'bpf_rbtree_left',
  'bpf_rbtree_right',
  'bpf_refcount_acquire_impl',
]);
const LOCKS = new Set([
  'bpf_res_spin_lock',
  'bpf_res_spin_unlock',
  'bpf_res_spin_lock_irqsave',
  'bpf_res_spin_unlock_irqrestore',
]);
const ITER_NUM = new Set(['bpf_iter_num_new', 'bpf_iter_num_next', 'bpf_iter_num_destroy']);

/** May be called while a lock is held (`kfunc_spin_allowed`). */
export function mayCallUnderLock({ name }: Kfunc): boolean {
  return GRAPH.has(name) || LOCKS.has(name) || ITER_NUM.has(name);
}

export const isRbtreeKfunc = (name: string): boolean => name.startsWith('bpf_rbtree_') && GRAPH.has(name);
