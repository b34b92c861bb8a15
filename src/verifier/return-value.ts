/** What programs and callbacks may return (`check_return_code` of Linux 6.18, kernel/bpf/verifier.c). */
import type { Verifier } from './context.js';
import { returnRule } from './env/index.js';
import { ERRNO } from './errno.js';
import { markChainPrecision } from './precision.js';
import { isPointerValue } from './privilege.js';
import type { Reg } from './reg.js';
import { checkSrc } from './reg-access.js';
import { regTypeText, SCALAR_VALUE } from './reg-type.js';
import { fitsIn, S64_MAX, S64_MIN, smax, smin } from './scalar/index.js';

export function withinReturnRange(reg: Reg, min: number, max: number, is32: boolean): boolean {
  return is32 ? reg.s32Min >= min && reg.s32Max <= max : fitsIn(reg, min, max);
}

/** Says what range a value has and which it should have (`verbose_invalid_scalar`). */
export function reportScalarRange(
  v: Verifier,
  reg: Reg,
  min: number,
  max: number,
  where: string,
  name: string,
  note?: string,
): never {
  let text = `${where} the register ${name} has`;
  const low = smin(reg);
  const high = smax(reg);
  if (low > S64_MIN) text += ` smin=${low}`;
  if (high < S64_MAX) text += ` smax=${high}`;
  if (low === S64_MIN && high === S64_MAX) text += ' unknown scalar value';
  v.error(`${text} should have been in [${min}, ${max}]`);
  return v.reject(ERRNO.EINVAL, note);
}

/**
 * The outermost function ends: of the program, of a global function, or of a callback that ran later. An exception's value,
 * in another register, is the program's result, too.
 */
export function checkReturnCode(v: Verifier, regno = 0): void {
  const frame = v.state.frames[0]!;
  const isSubprog = frame.subprog > 0 && !frame.inExceptionCallback;
  const rule = isSubprog ? 'any' : returnRule(v.env);
  if (rule === 'unchecked') return;
  checkSrc(v, regno);
  if (isPointerValue(v, regno)) v.denied(`R${regno} leaks addr as return value`);
  const reg = v.reg(regno);
  if (frame.inAsyncCallback) {
    enforce(v, regno, frame.retMin, frame.retMax, false, 'At async callback return');
    return;
  }
  if (isSubprog) {
    if (reg.type !== SCALAR_VALUE) {
      v.invalid(`At subprogram exit the register R${regno} is not a scalar value (${regTypeText(reg.type)})`);
    }
    return;
  }
  if (rule === 'any') return;
  enforce(v, regno, rule.min, rule.max, rule.is32Bit, 'At program exit', rule.note);
}

function enforce(
  v: Verifier,
  regno: number,
  min: number,
  max: number,
  is32: boolean,
  where: string,
  note?: string,
): void {
  const reg = v.reg(regno);
  if (reg.type !== SCALAR_VALUE) {
    v.invalid(`${where} the register R${regno} is not a known value (${regTypeText(reg.type)})`);
  }
  markChainPrecision(v, regno);
  if (withinReturnRange(reg, min, max, is32)) return;
  reportScalarRange(v, reg, min, max, where, `R${regno}`, note);
}
