/**
 * Maps one operation at a time: what each may answer in which state, and the state after it. A hash or an array falls into
 * its keys, each a model of its own (linearizability is local, Herlihy and Wing 1990); a queue or a stack is one as a whole.
 * States are texts, so that they can be compared.
 */
import { Errno } from '../abi/errno.js';
import { UpdateFlag } from '../abi/map-flags.js';
import type { MapOp } from './history.js';

export interface MapModel {
  readonly initial: string;
  /** The state after an operation with its result; undefined where no map in this state answers that. */
  step(state: string, op: MapOp): string | undefined;
}

/** Answers of an operation that has not been done, in whatever state the map is. */
const REFUSALS: ReadonlySet<number> = new Set(
  [
    Errno.EBUSY,
    Errno.EDEADLK,
    Errno.ETIMEDOUT,
    Errno.ENOMEM,
    Errno.E2BIG,
    Errno.EINVAL,
    Errno.EPERM,
    Errno.EAGAIN,
  ].map((errno) => -errno),
);

export const ABSENT = 'absent';
/** There is an element, whose value nobody but those with a pointer to it knows. */
export const UNKNOWN = 'unknown';

export interface ElementOptions {
  /** `ABSENT`, `UNKNOWN`, or the value as hex digits. */
  readonly initial: string;
  /** The map may drop elements by itself at any time (LRU). */
  readonly forgets: boolean;
}

/** One element of a map with keys. */
export function elementModel({ initial, forgets }: ElementOptions): MapModel {
  const there = (state: string): boolean => state !== ABSENT;
  const mayLack = (state: string): boolean => forgets || !there(state);
  const read = (state: string, { value }: MapOp): boolean =>
    there(state) && (state === UNKNOWN || value === undefined || value === state);
  return {
    initial,
    step(state, op) {
      const { kind, result, value = UNKNOWN, flags } = op;
      if (REFUSALS.has(result)) return state;
      if (result === -Errno.EEXIST) return there(state) ? state : undefined;
      if (result === -Errno.ENOENT) return mayLack(state) ? ABSENT : undefined;
      if (kind === 'lookup') return read(state, op) ? state : undefined;
      if (kind === 'take') return read(state, op) ? ABSENT : undefined;
      if (kind === 'delete') return there(state) ? ABSENT : undefined;
      if (kind !== 'update') return undefined;
      const mode = flags & 3;
      if (mode === UpdateFlag.BPF_NOEXIST && !mayLack(state)) return undefined;
      if (mode === UpdateFlag.BPF_EXIST && !there(state)) return undefined;
      return value;
    },
  };
}

export interface QueueOptions {
  /** Values from the oldest to the newest, as hex digits. */
  readonly initial: readonly string[];
  readonly maxEntries: number;
  /** First in, first out; else the newest comes first. */
  readonly fifo: boolean;
}

/** A queue or a stack. */
export function queueModel({ initial, maxEntries, fifo }: QueueOptions): MapModel {
  return {
    initial: initial.join(' '),
    step(state, { kind, result, value, flags }) {
      const values = state === '' ? [] : state.split(' ');
      if (result === -Errno.E2BIG) return values.length >= maxEntries ? state : undefined;
      if (result === -Errno.ENOENT) return values.length === 0 ? state : undefined;
      if (REFUSALS.has(result)) return state;
      if (kind === 'push') {
        if (values.length >= maxEntries && flags !== UpdateFlag.BPF_EXIST) return undefined;
        const kept = values.length >= maxEntries ? values.slice(1) : values;
        return [...kept, value].join(' ');
      }
      const at = fifo ? 0 : values.length - 1;
      if (values.length === 0 || (value !== undefined && values[at] !== value)) return undefined;
      return kind === 'peek' ? state : values.toSpliced(at, 1).join(' ');
    },
  };
}
