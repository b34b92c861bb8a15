/**
 * The worst section of each kind and where it began, as the irqsoff and preemptoff tracers of Linux keep it
 * (kernel/trace/trace_irqsoff.c), and for each lock class the longest time it was held.
 */

export interface Worst {
  /** Simulated nanoseconds. */
  readonly ns: number;
  /** Where the section began. */
  readonly place: string;
  readonly cpu: number;
}

export type SectionKind = 'preemptoff' | 'irqsoff';

/** What `kernel.latency()` gives: the worst of each; absent where there was none. */
export interface LatencyReport {
  /** Interrupts off. */
  readonly irqsoff: Worst | undefined;
  /** Preemption off: by count, interrupts and BH-disabled sections included. */
  readonly preemptoff: Worst | undefined;
  /** The longest hold of each lock class, the longest first. */
  readonly held: readonly (Worst & { readonly lockClass: string })[];
}

export class Latency {
  private readonly sections = new Map<SectionKind, Worst>();
  /** Counts how often measuring began anew, for those who keep the worst themselves. */
  measurement = 0;
  /** The worst section of each kind in ns, -1 before the first. */
  irqsoffNs = -1;
  preemptoffNs = -1;
  private readonly held = new Map<string, Worst>();

  section(kind: SectionKind, ns: number, place: string, cpu: number): void {
    // Nearly always shorter than the worst: that costs a comparison.
    if (ns <= (kind === 'irqsoff' ? this.irqsoffNs : this.preemptoffNs)) return;
    if (kind === 'irqsoff') this.irqsoffNs = ns;
    else this.preemptoffNs = ns;
    this.sections.set(kind, { ns, place, cpu });
  }

  /** A lock of a class was held for so long. */
  lockHeld(lockClass: string, ns: number, place: string, cpu: number): void {
    const worst = this.held.get(lockClass);
    if (worst === undefined || ns > worst.ns) this.held.set(lockClass, { ns, place, cpu });
  }

  worst(kind: SectionKind): Worst | undefined {
    return this.sections.get(kind);
  }

  worstHeld(): ReadonlyMap<string, Worst> {
    return this.held;
  }

  report(): LatencyReport {
    const held = [...this.held].map(([lockClass, worst]) => ({ lockClass, ...worst }));
    held.sort((a, b) => b.ns - a.ns || (a.lockClass < b.lockClass ? -1 : 1));
    return { irqsoff: this.worst('irqsoff'), preemptoff: this.worst('preemptoff'), held };
  }

  reset(): void {
    this.measurement++;
    this.sections.clear();
    this.irqsoffNs = -1;
    this.preemptoffNs = -1;
    this.held.clear();
  }
}
