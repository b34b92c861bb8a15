/**
 * The engine's error family. Faults of a running program are values (`Fault`), not errors; these are
 * thrown when a program cannot be loaded, or when the host asks for something that cannot be.
 */
import { BpflabError } from '../errors.js';

/** Base of everything that `src/vm` throws. */
export abstract class VmError extends BpflabError {}

/**
 * A program that cannot be translated: `VM_EMPTY_PROGRAM`, `VM_BAD_INSTRUCTION`, `VM_BAD_REGISTER`,
 * `VM_BAD_JUMP`, `VM_UNKNOWN_HELPER`, `VM_UNRESOLVED_IMM`, `VM_BIG_ENDIAN`. The place names program and instruction.
 */
export class VmProgramError extends VmError {}

/** Memory that cannot be had or is not the caller's: `VM_OUT_OF_MEMORY`, `VM_OUT_OF_CODE`, `VM_BAD_REGION`. */
export class VmMemoryError extends VmError {}

/** The host used an execution in a way that it does not allow (`VM_STATE`, `VM_WOULD_WAIT`). */
export class VmStateError extends VmError {}

/** Thrown by a helper that ends the run from wherever it is, with a value: `bpf_throw`. */
export class HelperExit extends Error {
  constructor(readonly r0: bigint) {
    super('the program ended itself');
  }
}

/**
 * Thrown by a helper when its caller passed what it may not use (`VM_HELPER_FAULT`); the engine turns it
 * into a `helper-fault` or `bad-access` of the running program.
 */
export class HelperFault extends VmError {
  readonly address: bigint | undefined;
  readonly size: number | undefined;

  constructor(detail: string, address?: bigint, size?: number) {
    super('VM_HELPER_FAULT', detail);
    this.address = address;
    this.size = size;
  }
}
