/**
 * Helpers and kfuncs as the engine sees them. A *plain* helper never waits: the core calls it in the
 * middle of its loop. A *flow* helper may wait, be preempted, or call back into the program: the core
 * returns to the host, and a generator may carry it out. The rest the core does itself, from what the
 * host says once.
 */
import type { CallKind } from '../isa/opcodes.js';
import type { HelperCall } from './helper-call.js';
import type { Caller, LoadedProgram, RegValue } from './types.js';

/** What a flow helper gives: r0, or a generator that ends with r0 and yields whatever the host waits on. */
export type FlowResult = RegValue | Generator<unknown, RegValue, unknown>;

export type HelperDef =
  /** r0 = result; `undefined` leaves r0 as the helper set it through `call`. */
  | {
      readonly kind: 'plain';
      readonly name: string;
      readonly run: (call: HelperCall) => RegValue | undefined;
    }
  | { readonly kind: 'flow'; readonly name: string; readonly run: (caller: Caller) => FlowResult }
  /** `bpf_tail_call`: the program to continue with, or undefined to fall through. */
  | {
      readonly kind: 'tail';
      readonly name: string;
      readonly run: (call: HelperCall) => LoadedProgram | undefined;
    }
  /**
   * `bpf_loop`: calls the function in r2 with (iteration, r3) until it returns other than 0, at most r1 (32 bits)
   * times, without leaving the core. r0 = iterations done; `badFlags` when r4 is not 0, `tooMany` when r1 is above `limit`.
   */
  | {
      readonly kind: 'loop';
      readonly name: string;
      readonly limit: number;
      readonly tooMany: RegValue;
      readonly badFlags: RegValue;
    }
  /**
   * Look-up by index or key: where r1 points to a descriptor (`EngineMemory.describe`, `describeTable`) and r2 to a
   * readable 32-bit index, or key, r0 = the element's address or 0, without leaving the core. Anything else is `run`'s, as
   * if it were plain.
   */
  | {
      readonly kind: 'indexed';
      readonly name: string;
      readonly run: (call: HelperCall) => RegValue | undefined;
    }
  /** r0 = a constant, without leaving the core. */
  | { readonly kind: 'const'; readonly name: string; readonly value: RegValue }
  /** r0 = the 4 (zero-extended) or 8 bytes at a memory offset, without leaving the core. */
  | { readonly kind: 'slot'; readonly name: string; readonly offset: number; readonly size: 4 | 8 };

export type LoopHelper = Extract<HelperDef, { kind: 'loop' }>;

/** Which helper a call means: by number, or for `kfunc` by BTF id and index into the fd array. */
export type HelperResolver = (kind: CallKind, id: number, off: number) => HelperDef | undefined;

export interface LoadOptions {
  readonly helpers?: HelperResolver;
  /**
   * Check every access against the regions' access (raw programs), or against the window only
   * (verified programs). Default true.
   */
  readonly checked?: boolean;
  /**
   * True for loads (by instruction slot) that give 0 instead of a fault where they may not read, as Linux's
   * `BPF_PROBE_MEM` does for pointers to kernel types.
   */
  readonly probeRead?: (insnIndex: number) => boolean;
  /** Look at the fuel before every instruction instead of at backward jumps and calls. Default false. */
  readonly exactFuel?: boolean;
}
