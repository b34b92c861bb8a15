/**
 * Finds what a program attached by BTF id hangs on, and says why it may not hang there: `check_attach_btf_id` and
 * `bpf_check_attach_target` of Linux 6.18 (kernel/bpf/verifier.c). Kernel functions are taken to have an address.
 */
import { AttachType } from '../../abi/attach-types.js';
import { ProgType } from '../../abi/prog-types.js';
import { UNTRUSTED_LSM_HOOKS } from '../../abi/verifier-lsm-hooks.js';
import type { Btf } from '../../object/btf/btf.js';
import type { BtfFuncProto, BtfType, BtfTypeId } from '../../object/btf/types.js';
import type { Verifier } from '../context.js';
import { attachProblem, hasBtfTarget, type Refusal, sleepableProblem } from '../env/index.js';
import { ERRNO } from '../errno.js';
import type { CtxArg } from './attach-info.js';
import { attachToProgram } from './attach-program.js';
import { modelProblem } from './func-model.js';
import { iterArgs } from './iter-targets.js';
import { findType, kernelBtf } from './kernel-types.js';
import { attachStructOps } from './struct-ops.js';
import { canSleepIn, isDenied, isModifiable, isNoReturn } from './target-lists.js';

const TRACEPOINT_PREFIX = 'btf_trace_';
/** Attach types by which a trampoline calls the program around a function. */
const AROUND_FUNCTIONS: ReadonlySet<number> = new Set([
  AttachType.modify_return,
  AttachType.lsm_mac,
  AttachType.lsm_cgroup,
  AttachType.trace_fentry,
  AttachType.trace_fexit,
]);

function refuse(v: Verifier, problem: Refusal | undefined): void {
  if (problem !== undefined) v.reject(problem.errno, problem.message === '' ? undefined : problem.message);
}

/** Sets `v.attach` and `v.env.attach`, or rejects the program. */
export function checkAttach(v: Verifier): void {
  const id = v.request.attachBtfId ?? 0;
  const { env } = v;
  if (id === 0 || !hasBtfTarget(env.type)) {
    refuse(v, attachProblem(env, id));
    return;
  }
  refuse(v, sleepableProblem(env));
  if (env.type === ProgType.struct_ops) {
    attachStructOps(v, id);
    return;
  }
  if (v.target !== null) {
    attachToProgram(v, v.target, id);
    return;
  }
  const btf = kernelBtf(v, 'program attached by BTF id');
  const type = btf.has(id) ? btf.type(id) : v.invalid(`attach_btf_id ${id} is invalid`);
  if (type.name === '') v.invalid(`attach_btf_id ${id} doesn't have a name`);
  if (env.type === ProgType.ext) v.invalid('Cannot replace kernel functions');
  if (env.expectedAttachType === AttachType.trace_raw_tp) attachTracepoint(v, btf, id, type);
  else if (env.expectedAttachType === AttachType.trace_iter) attachIterator(v, btf, id, type);
  else if (AROUND_FUNCTIONS.has(env.expectedAttachType)) attachFunction(v, btf, id, type);
  else v.reject(ERRNO.EINVAL);
}

/** Records the target. `name` is the kernel function or type; `shown` what messages call it. */
function record(
  v: Verifier,
  btf: Btf,
  id: BtfTypeId,
  proto: BtfFuncProto,
  name: string,
  more: { shown?: string; skipsFirstArg?: boolean; args?: readonly CtxArg[]; trusted: boolean },
): void {
  v.attach = {
    btf,
    id,
    name: more.shown ?? name,
    proto,
    skipsFirstArg: more.skipsFirstArg ?? false,
    args: more.args ?? [],
    trusted: more.trusted,
  };
  v.env = { ...v.env, attach: { name, returnsVoid: proto.type === 0 } };
}

function attachTracepoint(v: Verifier, btf: Btf, id: BtfTypeId, type: BtfType): void {
  if (type.kind !== 'typedef') v.invalid(`attach_btf_id ${id} is not a typedef`);
  if (!type.name.startsWith(TRACEPOINT_PREFIX)) {
    v.invalid(`attach_btf_id ${id} points to wrong type name ${type.name}`);
  }
  const name = type.name.slice(TRACEPOINT_PREFIX.length);
  const proto = tracepointProto(btf, name, type.type);
  if (proto === undefined) v.reject(ERRNO.EINVAL);
  record(v, btf, id, proto, type.name, { shown: name, skipsFirstArg: true, trusted: true });
}

/** The typedef's prototype has no names for its arguments; functions made from the same declaration do. */
function tracepointProto(btf: Btf, name: string, pointer: BtfTypeId): BtfFuncProto | undefined {
  for (const func of [`__bpf_trace_${name}`, `__probestub_${name}`]) {
    const proto = protoOf(btf, findType(btf, func, 'func'));
    if (proto !== undefined) return proto;
  }
  const target = btf.type(pointer);
  const proto = target.kind === 'ptr' ? btf.type(target.type) : undefined;
  return proto?.kind === 'func_proto' ? proto : undefined;
}

function protoOf(btf: Btf, func: BtfTypeId | undefined): BtfFuncProto | undefined {
  const type = func === undefined ? undefined : btf.type(func);
  const proto = type?.kind === 'func' ? btf.type(type.type) : undefined;
  return proto?.kind === 'func_proto' ? proto : undefined;
}

function functionProto(v: Verifier, btf: Btf, id: BtfTypeId, type: BtfType): BtfFuncProto {
  if (type.kind !== 'func') v.invalid(`attach_btf_id ${id} is not a function`);
  const proto = protoOf(btf, id);
  if (proto === undefined) v.reject(ERRNO.EINVAL);
  const problem = modelProblem(btf, proto, type.name);
  if (problem !== undefined) v.invalid(problem);
  return proto;
}

function attachIterator(v: Verifier, btf: Btf, id: BtfTypeId, type: BtfType): void {
  const proto = functionProto(v, btf, id, type);
  const known = iterArgs(type.name);
  if (known === undefined) v.reject(ERRNO.EINVAL);
  const args = known.map(({ slot, regType, struct }): CtxArg => {
    const btfId = struct === undefined ? 0 : (findType(btf, struct, 'struct') ?? 0);
    return { off: slot * 8, regType, btfId, referenced: false };
  });
  record(v, btf, id, proto, type.name, { args, trusted: true });
}

function attachFunction(v: Verifier, btf: Btf, id: BtfTypeId, type: BtfType): void {
  const { name } = type;
  const { env } = v;
  const proto = functionProto(v, btf, id, type);
  const around = env.expectedAttachType;
  if (env.type === ProgType.lsm) {
    const trusted = !UNTRUSTED_LSM_HOOKS.has(name.replace(/^bpf_lsm_/, ''));
    record(v, btf, id, proto, name, { trusted });
    refuse(v, attachProblem(v.env, id));
    return;
  }
  if (env.sleepable && !canSleepIn(name)) v.invalid(`${name} is not sleepable`);
  if (!env.sleepable && around === AttachType.modify_return && !isModifiable(name)) {
    v.invalid(`${name}() is not modifiable`);
  }
  record(v, btf, id, proto, name, { trusted: false });
  if (isDenied(name)) v.invalid(`Attaching tracing programs to function '${name}' is rejected.`);
  if (around !== AttachType.trace_fentry && isNoReturn(name)) {
    v.invalid(`Attaching fexit/fmod_ret to __noreturn function '${name}' is rejected.`);
  }
}
