/** Ranges that contradict themselves: forgotten, or refused where the load asks for it (`reg_bounds_sanity_check`). */
import { ProgFlag } from '../abi/prog-flags.js';
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import type { Reg } from './reg.js';
import { checkBounds } from './scalar/index.js';

/** `context` says which step led here. */
export function checkBoundsSane(v: Verifier, reg: Reg, context: string): void {
  const violation = checkBounds(reg, context);
  if (violation !== undefined) reportViolation(v, violation);
}

export function reportViolation(v: Verifier, violation: string): void {
  const line = `verifier bug: ${violation}`;
  if ((v.progFlags & ProgFlag.BPF_F_TEST_REG_INVARIANTS) !== 0) v.reject(ERRNO.EFAULT, line);
  v.log.write(`${line}\n`);
}
