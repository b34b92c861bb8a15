/** Registers as operands: which exist, may be read, may be written (`check_reg_arg`, Linux 6.18). */
import { BPF_REG_FP, MAX_BPF_REG } from '../isa/constants.js';
import type { Verifier } from './context.js';
import { markNotInit } from './reg.js';
import { NOT_INIT } from './reg-type.js';

function exists(v: Verifier, regno: number): void {
  if (regno >= MAX_BPF_REG) v.invalid(`R${regno} is invalid`);
  v.markRegScratched(regno);
}

/** The register is read. */
export function checkSrc(v: Verifier, regno: number): void {
  exists(v, regno);
  if (v.peek(regno).type === NOT_INIT) v.denied(`R${regno} !read_ok`);
}

/** The register is written; what it holds is the caller's to say. */
export function checkDst(v: Verifier, regno: number): void {
  exists(v, regno);
  if (regno === BPF_REG_FP) v.denied('frame pointer is read only');
}

/** What a call leaves of r0 to r5. */
export function clearCallerSaved(v: Verifier): void {
  for (let i = 0; i <= 5; i++) {
    markNotInit(v.reg(i));
    v.markRegScratched(i);
  }
}
