/** Texts that several rows expect: reports of the kernels of 2020, and who waits for whom. */

/** What a sleeping spinlock in atomic context says; 5.4-rt has it at this line. */
export const SLEEPS = 'BUG: sleeping function called from invalid context at kernel/locking/rtmutex.c:973';

/** The second line of such reports. */
export function inTask(pid: number, comm: string, irqsOff = false): string {
  return `in_atomic(): 1, irqs_disabled(): ${irqsOff ? 1 : 0}, pid: ${pid}, name: ${comm}`;
}

/** An NMI that waits for what the hard interrupt below it has. */
export function nmiOver(lock: string, place: string): string {
  const nmi = 'nmi perf_event_nmi_handler on CPU 0';
  const packet = 'hardirq eth0-rx-0 on CPU 0';
  return `deadlock: ${nmi} waits for ${lock}, which ${packet} took at ${place}; ${packet} is interrupted by ${nmi}`;
}

/** A task that waits for a bucket lock that it has: lockdep's report, then the deadlock. */
export function recursionOf(task: string): readonly string[] {
  return [
    'WARNING: possible recursive locking detected',
    `deadlock: BUG: spinlock recursion on CPU#0, ${task}; ${task} on CPU 0 waits for &htab->buckets[i].raw_lock, which ${task} on CPU 0 took at htab_map_update_elem`,
  ];
}
