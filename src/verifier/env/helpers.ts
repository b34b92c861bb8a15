/**
 * May this program call that helper, and with which prototype? The questions that `check_helper_call` asks before
 * it looks at a register (kernel/bpf/verifier.c, Linux 6.18), in its order and with its words.
 */

import { Errno } from '../../abi/errno.js';
import { type HelperProto, helperProtoOf } from '../../abi/helper-protos.js';
import { helperById, helperText } from '../../abi/helpers.js';
import { ProgType } from '../../abi/prog-types.js';
import { conditionHolds } from './helper-conditions.js';
import { hasTrampoline, helperVariant } from './helper-sets.js';
import type { ProgEnv, Refusal } from './types.js';
import { refuse } from './types.js';

/** Name as the log writes it: id 0 is `unspec`. */
export function helperLogText(id: number): string {
  return id === 0 ? 'bpf_unspec#0' : helperText(id);
}

/**
 * The prototype of helper `id` for this program, or why it may not be called.
 *
 * `inSleepable`: the place of the call may sleep; a callback of a sleepable program may not, that of a work queue may.
 */
export function helperProto(
  env: ProgEnv,
  id: number,
  inSleepable: boolean = env.sleepable,
): HelperProto | Refusal {
  const helper = helperById(id);
  if (helper === undefined && id !== 0) return refuse(`invalid func ${helperLogText(id)}`);
  const variant = helper === undefined ? undefined : helperVariant(env, helper.name);
  const proto = variant === undefined ? undefined : helperProtoOf(id, variant);
  if (proto === undefined) return refuse(`program of this type cannot use helper ${helperLogText(id)}`);
  if (!env.gpl && proto.gplOnly)
    return refuse('cannot call GPL-restricted function from non-GPL compatible program');
  if (proto.condition !== undefined && !conditionHolds(proto.condition, env))
    return refuse('helper call is not allowed in probe');
  if (proto.mightSleep && !inSleepable) return refuse('helper call might sleep in a non-sleepable prog');
  return proto;
}

/** `bpf_get_func_ip` depends on the attach point; Linux asks after the arguments. Undefined: no objection. */
export function funcIpProblem(env: ProgEnv): Refusal | undefined {
  const name = helperText(173);
  if (env.type === ProgType.kprobe) return undefined;
  if (env.type !== ProgType.tracing)
    return refuse(`func ${name} not supported for program type ${env.type}`, Errno.ENOTSUPP);
  if (hasTrampoline(env)) return undefined;
  return refuse(`func ${name} supported only for fentry/fexit/fmod_ret programs`, Errno.ENOTSUPP);
}
