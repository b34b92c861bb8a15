/** Memory with its size in the next argument (`check_kfunc_mem_size_reg` of Linux 6.18): read and written. */
import type { Verifier } from '../context.js';
import { checkMemSize } from '../helper-mem.js';
import { markNotNull } from '../nullness.js';
import { cloneReg, copyReg, isNullScalar } from '../reg.js';
import { mayBeNull } from '../reg-type.js';
import { constValue, isConst } from '../scalar/index.js';
import { isSoft } from '../verdict.js';
import { hasSuffix } from './arg-kind.js';
import type { KfuncMeta } from './meta.js';

export function checkSizedMemory(v: Verifier, meta: KfuncMeta, index: number): void {
  const param = meta.kfunc.params[index]!;
  const sizeRegno = index + 2;
  // The buffer of a slice may be left out.
  if (!isNullScalar(v.reg(index + 1)) || !hasSuffix(param, '__opt')) checkBoth(v, index, sizeRegno);
  if (!hasSuffix(meta.kfunc.params[index + 1]!, '__szk')) return;
  const size = v.reg(sizeRegno);
  if (!isConst(size)) v.invalid(`R${sizeRegno} must be a known constant`);
  meta.constant = constValue(size);
}

function checkBoth(v: Verifier, index: number, sizeRegno: number): void {
  const memory = v.reg(index + 1);
  const saved = mayBeNull(memory.type) ? cloneReg(memory) : null;
  try {
    if (saved !== null) markNotNull(memory);
    checkMemSize(v, sizeRegno, false, true, null);
    checkMemSize(v, sizeRegno, true, true, null);
  } catch (error) {
    if (isSoft(error)) {
      v.error(`arg#${index} arg#${index + 1} memory, len pair leads to invalid memory access`);
    }
    throw error;
  } finally {
    if (saved !== null) copyReg(memory, saved);
  }
}
