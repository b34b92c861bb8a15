/** What goes into a test run and comes out, and the checks that all kinds share. */
import { SyscallError } from '../errors.js';
import type { Redirect } from '../net/net-state.js';
import type { BpfProg } from './prog.js';
import type { RunOptions } from './run-prog.js';

export interface TestRunAttr extends RunOptions {
  /** The packet, from its Ethernet header on. */
  readonly dataIn?: Uint8Array;
  readonly ctxIn?: Uint8Array;
  /** Room for the packet afterwards; a longer one is refused with ENOSPC. By default there is enough. */
  readonly dataSizeOut?: number;
}

export interface TestRunResult {
  /** The low 32 bits of r0, unsigned, as the system call returns them. */
  readonly retval: number;
  /** r0 whole. */
  readonly r0: bigint;
  readonly dataOut?: Uint8Array;
  readonly ctxOut?: Uint8Array;
  /** Instructions executed by all repetitions. */
  readonly instructions: number;
  /** Where the program asked to send the packet, if the last run's return value says so. */
  readonly redirect?: Redirect;
}

/** What Linux answers with EINVAL. */
export function requireInput(ok: boolean, prog: BpfProg, why: string): void {
  if (!ok) throw SyscallError.of('EINVAL', why, { symbol: prog.name });
}

/** Contexts may be given in part or with zeros behind: more is refused with E2BIG (bpf_check_uarg_tail_zero). */
export function contextBytes(prog: BpfProg, ctxIn: Uint8Array, size: number): Uint8Array {
  if (ctxIn.subarray(size).some((byte) => byte !== 0)) {
    throw SyscallError.of('E2BIG', `the context has ${size} bytes, not ${ctxIn.length}`, {
      symbol: prog.name,
    });
  }
  const bytes = new Uint8Array(size);
  bytes.set(ctxIn.subarray(0, size));
  return bytes;
}
