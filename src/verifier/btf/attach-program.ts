/**
 * Programs that hang on another BPF program: tracing programs around one of its functions, extensions in place of one.
 * The part of `bpf_check_attach_target` and `check_attach_btf_id` that knows a target program, and `btf_check_type_match`,
 * of Linux 6.18 (kernel/bpf/verifier.c, kernel/bpf/btf.c). The target was verified before.
 */
import { AttachType } from '../../abi/attach-types.js';
import { ProgType } from '../../abi/prog-types.js';
import type { Btf } from '../../object/btf/btf.js';
import { isComposite } from '../../object/btf/layout.js';
import type { BtfFunc, BtfFuncProto, BtfType, BtfTypeId } from '../../object/btf/types.js';
import type { Subprog, Verifier } from '../context.js';
import { ERRNO } from '../errno.js';
import { modelProblem } from './func-model.js';
import { kindText } from './kind-text.js';

const GLOBAL = 1;
const AROUND: ReadonlySet<number> = new Set([AttachType.trace_fentry, AttachType.trace_fexit]);

/** Sets `v.attach` and `v.env`, or rejects the program. `id`: the function, in the target's BTF. */
export function attachToProgram(v: Verifier, target: Verifier, id: BtfTypeId): void {
  const btf =
    target.btf ??
    v.invalid('FENTRY/FEXIT program can only be attached to another program annotated with BTF');
  const type = btf.has(id) ? btf.type(id) : v.invalid(`attach_btf_id ${id} is invalid`);
  if (type.name === '') v.invalid(`attach_btf_id ${id} doesn't have a name`);
  const index = target.request.funcInfo?.findIndex(({ typeId }) => typeId === id) ?? -1;
  const subprog = target.subprogs[index] ?? v.invalid(`Subprog ${type.name} doesn't exist`);
  const isExtension = v.request.progType === ProgType.ext;
  if (target.exceptionStart !== 0 && subprog.start === target.exceptionStart) {
    v.invalid(`${isExtension ? 'Extension' : 'FENTRY/FEXIT'} programs cannot attach to exception callback`);
  }
  if (isExtension) checkExtension(v, subprog);
  checkNesting(v, target, isExtension);
  const proto = checkFunction(v, btf, type, isExtension);
  const known = subprog.unreliable ? null : proto;
  const problem = known === null ? undefined : modelProblem(btf, known, type.name);
  if (problem !== undefined) v.invalid(problem);
  if (!isExtension) checkTracing(v, type.name);
  v.attach = { btf, id, name: type.name, proto: known, skipsFirstArg: false, args: [], trusted: false };
  const attach = { name: type.name, returnsVoid: known?.type === 0 };
  if (!isExtension) {
    v.env = { ...v.env, attach };
    return;
  }
  // an extension is verified as if it were the function that it replaces
  const { type: progType, expectedAttachType } = target.env;
  v.env = { ...v.env, type: progType, expectedAttachType, attach: target.env.attach ?? attach };
}

function checkExtension(v: Verifier, replaced: Subprog): void {
  if (replaced.unreliable) v.invalid('Cannot replace static functions');
  const own = v.subprogs[0]!;
  if (own.changesPktData && !replaced.changesPktData) {
    v.invalid('Extension program changes packet data, while original does not');
  }
  if (own.mightSleep && !replaced.mightSleep)
    v.invalid('Extension program may sleep, while original does not');
}

function checkNesting(v: Verifier, target: Verifier, isExtension: boolean): void {
  const { progType } = target;
  if (v.request.progType === ProgType.tracing) {
    if (progType === ProgType.tracing && target.target !== null) {
      v.invalid('Cannot nest tracing program attach more than once');
    }
  } else if (progType === v.request.progType) {
    v.invalid('Cannot recursively attach');
  }
  if (isExtension && progType === ProgType.tracing && AROUND.has(target.attachType)) {
    v.invalid('Cannot extend fentry/fexit');
  }
}

function checkFunction(v: Verifier, btf: Btf, type: BtfType, isExtension: boolean): BtfFuncProto {
  const { attachType } = v;
  if (attachType === AttachType.trace_raw_tp) {
    v.invalid('Only FENTRY/FEXIT progs are attachable to another BPF prog');
  }
  if (type.kind !== 'func') v.invalid(`attach_btf_id ${v.request.attachBtfId} is not a function`);
  const proto = btf.type(type.type);
  if (proto.kind !== 'func_proto') v.reject(ERRNO.EINVAL);
  if (isExtension) checkSameType(v, btf, type);
  else if (!AROUND.has(attachType) && attachType !== AttachType.modify_return) v.reject(ERRNO.EINVAL);
  return proto;
}

function checkTracing(v: Verifier, name: string): void {
  if (v.sleepable) v.invalid(`${name} is not sleepable`);
  if (v.attachType === AttachType.modify_return) v.invalid("can't modify return codes of BPF programs");
}

/** An extension has the very signature of what it replaces: numbers, and pointers to the context. */
function checkSameType(v: Verifier, btf: Btf, replaced: BtfFunc): void {
  const own = v.btf;
  const typeId = v.request.funcInfo?.[0]?.typeId;
  if (own === undefined || typeId === undefined) v.invalid('Program extension requires BTF');
  const func = own.type(typeId);
  if (func.kind !== 'func') v.reject(ERRNO.EFAULT);
  for (const { name, linkage } of [func, replaced]) {
    if (linkage !== GLOBAL) v.invalid(`${name}() is not a global function`);
  }
  const a = own.type(func.type);
  const b = btf.type(replaced.type);
  if (a.kind !== 'func_proto' || b.kind !== 'func_proto') v.reject(ERRNO.EFAULT);
  const [countA, countB] = [a.params.length, b.params.length];
  if (countA !== countB) {
    v.invalid(`${func.name}() has ${countA} args while ${replaced.name}() has ${countB} args`);
  }
  const [resultA, resultB] = [own.underlying(a.type), btf.underlying(b.type)];
  if (resultA.kind !== resultB.kind) {
    v.invalid(
      `Return type ${kindText(resultA.kind)} of ${func.name}() doesn't match type ${kindText(resultB.kind)} of ${replaced.name}()`,
    );
  }
  a.params.forEach((param, i) => {
    checkSameArg(v, i, [own, func.name, param.type], [btf, replaced.name, b.params[i]!.type]);
  });
}

type Side = readonly [btf: Btf, func: string, typeId: BtfTypeId];

function checkSameArg(v: Verifier, i: number, [btfA, nameA, idA]: Side, [btfB, nameB, idB]: Side): void {
  const a = btfA.underlying(idA);
  const b = btfB.underlying(idB);
  if (a.kind !== b.kind) {
    v.invalid(`arg${i} in ${nameA}() is ${kindText(a.kind)} while ${nameB}() has ${kindText(b.kind)}`);
  }
  if ('size' in a && 'size' in b && a.size !== b.size) {
    v.invalid(`arg${i} in ${nameA}() has size ${a.size} while ${nameB}() has ${b.size}`);
  }
  if (a.kind === 'int' || a.kind === 'enum' || a.kind === 'enum64') return;
  if (a.kind !== 'ptr' || b.kind !== 'ptr') v.invalid(`arg${i} in ${nameA}() has unrecognized type`);
  const [toA, toB] = [btfA.underlying(a.type), btfB.underlying(b.type)];
  if (!isComposite(toA)) v.invalid(`arg${i} in ${nameA}() is not a pointer to context`);
  if (!isComposite(toB)) v.invalid(`arg${i} in ${nameB}() is not a pointer to context`);
  if (toA.name === toB.name) return;
  v.invalid(`arg${i} ${nameA}(struct ${toA.name} *) doesn't match ${nameB}(struct ${toB.name} *)`);
}
