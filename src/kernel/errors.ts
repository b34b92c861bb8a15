/** The simulated kernel's error family. What Linux would answer with an errno carries it. */
import { Errno, type ErrnoName, errnoName } from '../abi/errno.js';
import { BpflabError, type ErrorPlace } from '../errors.js';

/** Base of everything that `src/kernel` throws. */
export abstract class KernelError extends BpflabError {}

/** A system call that Linux would refuse: `errno` is positive, `code` its name, e.g. `EINVAL`. */
export class SyscallError extends KernelError {
  readonly errno: number;

  constructor(code: string, detail: string, place: ErrorPlace = {}) {
    super(code, detail, place);
    this.errno = Errno[code as ErrnoName] ?? Errno.EINVAL;
  }

  /** What `bpf(command)` refused, why, and with which errno. */
  static of(name: ErrnoName, detail: string, place: ErrorPlace = {}): SyscallError {
    return new SyscallError(name, `${detail} (${name})`, place);
  }

  /** The same for an errno as a number. */
  static ofErrno(errno: number, detail: string, place: ErrorPlace = {}): SyscallError {
    return SyscallError.of(errnoName(errno) ?? 'EINVAL', detail, place);
  }
}

/**
 * Something that Linux does and this kernel does not: `UNSUPPORTED_MAP_TYPE`, `UNSUPPORTED_HELPER`,
 * `UNSUPPORTED_KFUNC`, `UNSUPPORTED_PROG_TYPE`, `UNSUPPORTED_PROGRAM`, `UNSUPPORTED_INPUT`. The message names it.
 */
export class UnsupportedError extends KernelError {}

/** Input that is no capture file, or a damaged one: `PCAP_MAGIC`, `PCAP_TRUNCATED`, `PCAP_LINK_TYPE`, `PCAP_RECORD`. */
export class PcapError extends KernelError {}

/**
 * A program that was stopped before its exit: `FAULT_BAD_ACCESS`, `FAULT_OUT_OF_FUEL`, … The message names program,
 * instruction, source line where known, and the address or register at fault.
 */
export class ProgramFaultError extends KernelError {}

/** A kernel profile that does not exist: `KERNEL_PROFILE`. */
export class KernelProfileError extends KernelError {}

/**
 * The simulation came to a state that it cannot leave: `SIM_DEADLOCK` (the message says who waits for whom, on which
 * lock), `SIM_WOULD_WAIT` (something had to wait where nothing else can run), `SIM_PANIC` (the kernel would stop);
 * or it took more than it was allowed: `SIM_STEPS`, `SIM_INSNS`, `SIM_TIME`.
 */
export class SimulationError extends KernelError {}

/**
 * A scenario that is no scenario: `SCENARIO_JSON`, `SCENARIO_TYPE`, `SCENARIO_VALUE`, `SCENARIO_KEY` (missing or unknown),
 * `SCENARIO_NAME` (of something that is not there). The message begins with the place in the data.
 */
export class ScenarioError extends KernelError {}
