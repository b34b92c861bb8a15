/**
 * Places of the simulated kernel's own code that programs can be attached to: functions and tracepoints, by Linux's
 * names. The code that runs through one says so; who attaches to it registers handlers here.
 */
import type { Flow } from '../sched/flow.js';

/** An argument or a tracepoint's field: a number, an address, or text for a string field. */
export type ProbeArg = number | bigint | string;

/** Runs at a function's entry (`result` undefined) or exit, or at a tracepoint. */
export type ProbeHandler = (args: readonly ProbeArg[], result: ProbeArg | undefined) => Flow<void>;

/** A function of the kernel, or a tracepoint (`subsystem:event`), which has entry handlers only. */
export class ProbePoint {
  /** Changed only by whoever attaches. */
  readonly entry: ProbeHandler[] = [];
  readonly exit: ProbeHandler[] = [];

  constructor(
    readonly name: string,
    private readonly owner: Probes,
  ) {}

  /** Whether anything is attached: plain code has to take the way through flows then. */
  get armed(): boolean {
    return this.entry.length + this.exit.length > 0;
  }

  /** Registers a handler; call the result to take it away again. */
  attach(where: 'entry' | 'exit', handler: ProbeHandler): () => void {
    const list = this[where];
    list.push(handler);
    this.owner.armed++;
    return () => {
      const at = list.indexOf(handler);
      if (at < 0) return;
      list.splice(at, 1);
      this.owner.armed--;
    };
  }
}

export class Probes {
  /** Handlers attached anywhere. */
  armed = 0;
  private readonly points = new Map<string, ProbePoint>();

  /** The point of a name; the same one each time. Ask once, when an object is made, and keep it. */
  point(name: string): ProbePoint {
    let found = this.points.get(name);
    if (found === undefined) {
      found = new ProbePoint(name, this);
      this.points.set(name, found);
    }
    return found;
  }

  /** Names asked for so far. */
  names(): string[] {
    return [...this.points.keys()];
  }
}

/** Runs a kernel function's body between its probes, and notes it in the context's call stack (`sched.here.calls`). */
export function* inFunction<T extends ProbeArg>(
  calls: string[],
  fn: ProbePoint,
  args: readonly ProbeArg[],
  body: () => Flow<T>,
): Flow<T> {
  calls.push(fn.name);
  try {
    for (const handler of [...fn.entry]) yield* handler(args, undefined);
    const result = yield* body();
    for (const handler of [...fn.exit]) yield* handler(args, result);
    return result;
  } finally {
    calls.pop();
  }
}

/** A tracepoint fires. */
export function* firePoint(tp: ProbePoint, fields: readonly ProbeArg[]): Flow<void> {
  for (const handler of [...tp.entry]) yield* handler(fields, undefined);
}
