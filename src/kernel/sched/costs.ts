/**
 * How long things take in simulated time, in nanoseconds. A model, not a measurement: orders of magnitude of a 3 GHz
 * x86-64 server, so that sections can be compared with each other. Change any of them with `KernelOptions.costs`.
 */
export interface Costs {
  /** One BPF instruction. */
  readonly insn: number;
  /** A helper's own work, beside what it calls. */
  readonly helper: number;
  /** Taking or releasing a lock that nobody wants. */
  readonly lock: number;
  /** Handing a lock over to a waiter. */
  readonly lockHandover: number;
  /** kmalloc or kfree that finds an object on its CPU's list. */
  readonly slab: number;
  /** The slow path of the slab allocator, with its page. */
  readonly slabSlow: number;
  /** Copying 64 bytes. */
  readonly copyLine: number;
  /** Looking at one element of a list. */
  readonly element: number;
  /** A context switch. */
  readonly contextSwitch: number;
  /** Entry and exit of an interrupt. */
  readonly interrupt: number;
  /** A system call's entry and exit. */
  readonly syscall: number;
}

export const DEFAULT_COSTS: Costs = {
  insn: 1,
  helper: 5,
  lock: 10,
  lockHandover: 60,
  slab: 25,
  slabSlow: 600,
  copyLine: 4,
  element: 5,
  contextSwitch: 1200,
  interrupt: 300,
  syscall: 80,
};
