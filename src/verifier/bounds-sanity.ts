/** Ranges that contradict themselves: forgotten, or refused where the load asks for it (`reg_bounds_sanity_check`). */
import { ProgFlag } from '../abi/prog-flags.js';
import type { Verifier } from './context.js';
import { ERRNO } from './errno.js';
import type { Reg } from './reg.js';
import { boundsViolation, setUnbounded } from './scalar/index.js';

export function checkBoundsSane(v: Verifier, reg: Reg): void {
  if (boundsViolation(reg) === undefined) return;
  if ((v.progFlags & ProgFlag.BPF_F_TEST_REG_INVARIANTS) !== 0) v.reject(ERRNO.EFAULT);
  setUnbounded(reg);
}
