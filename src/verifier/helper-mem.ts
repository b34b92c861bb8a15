/**
 * Memory that a helper is handed: by fixed size, by size in the next argument, of a map's key or value
 * (`check_helper_mem_access`, `check_mem_size_reg` of Linux 6.18, kernel/bpf/verifier.c).
 */
import { ProgType } from '../abi/prog-types.js';
import { checkBtfAccess } from './btf/pointer-access.js';
import type { Verifier } from './context.js';
import { checkMemAccess } from './mem-access.js';
import { markNotNull } from './nullness.js';
import { markChainPrecision } from './precision.js';
import { cloneReg, copyReg, isNullScalar, type Reg } from './reg.js';
import {
  baseType,
  MEM_ALLOC,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  mayBeNull,
  NON_OWN_REF,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  PTR_TRUSTED,
  regTypeText,
  SCALAR_VALUE,
} from './reg-type.js';
import {
  checkBuffer,
  checkMapPermission,
  checkMapValue,
  checkPacket,
  checkRegion,
  checkUnmodified,
} from './region.js';
import { isConst, sminNumber, umax, umaxNumber, umin, uminNumber } from './scalar/index.js';
import { checkStackRangeInitialized, type RawAccess } from './stack.js';

/** Program types whose context accesses are not rewritten (no `convert_ctx_access`). */
const PLAIN_CONTEXTS: ReadonlySet<number> = new Set([
  ProgType.kprobe,
  ProgType.tracepoint,
  ProgType.raw_tracepoint,
  ProgType.raw_tracepoint_writable,
  ProgType.cgroup_device,
  ProgType.lirc_mode2,
  ProgType.tracing,
  ProgType.struct_ops,
  ProgType.lsm,
  ProgType.syscall,
  ProgType.netfilter,
]);

/** Sizes from here on count as unbounded. */
const MAX_VAR_SIZE = 1 << 29;

/** A helper accesses `size` bytes at register `regno`. `raw`: what it may leave uninitialised is noted there. */
export function checkHelperMem(
  v: Verifier,
  regno: number,
  size: number,
  write: boolean,
  zeroAllowed: boolean,
  raw: RawAccess | null,
): void {
  const reg = v.reg(regno);
  const cannotWrite = (): never => v.denied(`R${regno} cannot write into ${regTypeText(reg.type)}`);
  switch (baseType(reg.type)) {
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
      checkPacket(v, regno, reg.off, size, zeroAllowed);
      return;
    case PTR_TO_MAP_KEY:
      if (write) cannotWrite();
      checkRegion(v, regno, reg.off, size, reg.map!.keySize, false);
      return;
    case PTR_TO_MAP_VALUE:
      checkMapPermission(v, regno, reg.off, size, write);
      checkMapValue(v, regno, reg.off, size, zeroAllowed, false);
      return;
    case PTR_TO_MEM:
      if (write && (reg.type & MEM_RDONLY) !== 0) cannotWrite();
      checkRegion(v, regno, reg.off, size, reg.memSize, zeroAllowed);
      return;
    case PTR_TO_BUF:
      if (write && (reg.type & MEM_RDONLY) !== 0) cannotWrite();
      checkBuffer(v, reg, regno, reg.off, size);
      return;
    case PTR_TO_STACK:
      checkStackRangeInitialized(v, regno, reg.off, size, zeroAllowed, write, raw);
      return;
    case PTR_TO_BTF_ID:
      checkBtfAccess(v, reg, regno, reg.off, size, false, null);
      return;
    default:
      checkOther(v, reg, regno, size, write, zeroAllowed);
  }
}

function checkOther(
  v: Verifier,
  reg: Reg,
  regno: number,
  size: number,
  write: boolean,
  zeroAllowed: boolean,
): void {
  // Contexts that are laid out as programs see them may be handed on as plain memory.
  if (reg.type === PTR_TO_CTX && PLAIN_CONTEXTS.has(v.env.type)) {
    if (size > 0) checkMemAccess(v, v.insnIdx, regno, size - 1, 1, write, -1, false, false);
    else if (!zeroAllowed) v.reject(13);
    return;
  }
  if (zeroAllowed && size === 0 && isNullScalar(reg)) return;
  v.denied(`R${regno} type=${regTypeText(reg.type)} expected=${regTypeText(PTR_TO_STACK)}`);
}

/** `regno` holds the size of the memory in the register before it. */
export function checkMemSize(
  v: Verifier,
  regno: number,
  write: boolean,
  zeroAllowed: boolean,
  raw: RawAccess | null,
): void {
  const reg = v.reg(regno);
  const noted = isConst(reg) ? raw : null;
  if (sminNumber(reg) < 0) {
    v.denied(`R${regno} min value is negative, either use unsigned or 'var &= const'`);
  }
  if (uminNumber(reg) === 0 && !zeroAllowed) {
    v.denied(
      `R${regno} invalid zero-sized read: u64=[${BigInt.asIntN(64, umin(reg))},${BigInt.asIntN(64, umax(reg))}]`,
    );
  }
  if (umaxNumber(reg) >= MAX_VAR_SIZE) {
    v.denied(`R${regno} unbounded memory access, use 'var &= const' or 'if (var < const)'`);
  }
  checkHelperMem(v, regno - 1, umaxNumber(reg), write, zeroAllowed, noted);
  markChainPrecision(v, regno);
}

/** Memory handed to a global function: readable and writable, null let through (`check_mem_reg`). */
export function checkMemReg(v: Verifier, reg: Reg, regno: number, size: number): void {
  if (isNullScalar(reg)) return;
  const saved = mayBeNull(reg.type) ? cloneReg(reg) : null;
  try {
    if (saved !== null) markNotNull(reg);
    checkHelperMem(v, regno, size, false, true, null);
    checkHelperMem(v, regno, size, true, true, null);
  } finally {
    if (saved !== null) copyReg(reg, saved);
  }
}

/** Offsets that a pointer may have as an argument (`check_func_arg_reg_off`). */
export function checkFuncArgOffset(v: Verifier, reg: Reg, regno: number, release: boolean): void {
  if (release) {
    if (reg.off !== 0) {
      v.invalid(`R${regno} must have zero offset when passed to release func or trusted arg to kfunc`);
    }
    checkUnmodified(v, reg, regno, false);
    return;
  }
  switch (reg.type) {
    case PTR_TO_STACK:
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
    case PTR_TO_MAP_KEY:
    case PTR_TO_MAP_VALUE:
    case PTR_TO_MEM:
    case PTR_TO_MEM | MEM_RDONLY:
    case PTR_TO_MEM | MEM_RINGBUF:
    case PTR_TO_BUF:
    case PTR_TO_BUF | MEM_RDONLY:
    case PTR_TO_ARENA:
    case SCALAR_VALUE:
      return;
    case PTR_TO_BTF_ID:
    case PTR_TO_BTF_ID | MEM_ALLOC:
    case PTR_TO_BTF_ID | PTR_TRUSTED:
    case PTR_TO_BTF_ID | MEM_RCU:
    case PTR_TO_BTF_ID | MEM_ALLOC | NON_OWN_REF:
    case PTR_TO_BTF_ID | MEM_ALLOC | NON_OWN_REF | MEM_RCU:
      checkUnmodified(v, reg, regno, true);
      return;
    default:
      checkUnmodified(v, reg, regno, false);
  }
}
