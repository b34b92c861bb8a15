/**
 * Places of the simulated kernel's own code that programs can be attached to: functions and tracepoints, by Linux's
 * names. The code that runs through one says so; who attaches to it registers handlers here.
 */
import type { Flow } from '../sched/flow.js';

/** An argument or a tracepoint's field: a number, an address, or text for a string field. */
export type ProbeArg = number | bigint | string;

/**
 * Runs at a function's entry (`result` undefined) or exit, or at a tracepoint. `raw`: a tracepoint's own arguments, where
 * they are not the fields of its record.
 */
export type ProbeHandler = (
  args: readonly ProbeArg[],
  result: ProbeArg | undefined,
  raw?: readonly ProbeArg[],
) => Flow<void>;

/** Runs at a function's entry, and says what is to run at its exit. */
export type AroundHandler = (
  args: readonly ProbeArg[],
) => Flow<((result: ProbeArg) => Flow<void>) | undefined>;

/** Runs in front of a function; what it gives takes the place of the function. */
export type ModifyHandler = (args: readonly ProbeArg[]) => Flow<ProbeArg | undefined>;

/** A function of the kernel, or a tracepoint (`subsystem:event`), which has entry handlers only. */
export class ProbePoint {
  /** Changed only by whoever attaches. */
  readonly entry: ProbeHandler[] = [];
  readonly exit: ProbeHandler[] = [];
  readonly around: AroundHandler[] = [];
  readonly modify: ModifyHandler[] = [];

  constructor(
    readonly name: string,
    private readonly owner: Probes,
  ) {}

  /** Whether anything is attached: plain code has to take the way through flows then. */
  get armed(): boolean {
    return this.entry.length + this.exit.length + this.around.length + this.modify.length > 0;
  }

  /** Registers a handler; call the result to take it away again. */
  attach(where: 'entry' | 'exit', handler: ProbeHandler): () => void {
    return this.add(this[where], handler);
  }

  attachAround(handler: AroundHandler): () => void {
    return this.add(this.around, handler);
  }

  attachModify(handler: ModifyHandler): () => void {
    return this.add(this.modify, handler);
  }

  private add<T>(list: T[], handler: T): () => void {
    list.push(handler);
    this.owner.count(1, this);
    return () => {
      const at = list.indexOf(handler);
      if (at < 0) return;
      list.splice(at, 1);
      this.owner.count(-1, this);
    };
  }
}

export class Probes {
  /** Handlers attached anywhere. */
  armed = 0;
  /** Told when something is attached to a point, or taken away. */
  onChange: ((point: ProbePoint) => void) | undefined;
  /** Told how many there are whenever that changes. */
  onCount: ((armed: number) => void) | undefined;
  private readonly points = new Map<string, ProbePoint>();

  /** @internal A handler more, or less, at a point. */
  count(by: number, point: ProbePoint): void {
    this.armed += by;
    this.onCount?.(this.armed);
    this.onChange?.(point);
  }

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
    if (!fn.armed) return yield* body();
    for (const handler of [...fn.entry]) yield* handler(args, undefined);
    const exits: ((result: ProbeArg) => Flow<void>)[] = [];
    for (const handler of [...fn.around]) {
      const exit = yield* handler(args);
      if (exit !== undefined) exits.unshift(exit);
    }
    const result = (yield* modified(fn, args)) ?? (yield* body());
    for (const handler of [...fn.exit]) yield* handler(args, result);
    for (const exit of exits) yield* exit(result);
    return result as T;
  } finally {
    calls.pop();
  }
}

/** What the first of those in front of it gives that gives something. */
function* modified(fn: ProbePoint, args: readonly ProbeArg[]): Flow<ProbeArg | undefined> {
  for (const handler of [...fn.modify]) {
    const result = yield* handler(args);
    if (result !== undefined) return result;
  }
  return undefined;
}

/** A tracepoint fires: the fields of its record, and its arguments where those are others. */
export function* firePoint(
  tp: ProbePoint,
  fields: readonly ProbeArg[],
  raw: readonly ProbeArg[] = fields,
): Flow<void> {
  for (const handler of [...tp.entry]) yield* handler(fields, undefined, raw);
}
