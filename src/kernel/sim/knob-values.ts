/** What the knobs of a kernel profile that have names for their settings can be turned to, so that a misspelt one is refused. */
import type { KernelProfile, Pin } from '../profile.js';

/** Knobs of one of several texts; not those that are any text, nor numbers and truth values. */
type Chosen = {
  [K in keyof KernelProfile]: string extends KernelProfile[K]
    ? never
    : KernelProfile[K] extends string
      ? K
      : never;
}[keyof KernelProfile];

const PINS: readonly Pin[] = ['preempt', 'migrate', 'none'];

const VALUES: { readonly [K in Chosen]: readonly KernelProfile[K][] } = {
  migrateDisable: ['preempt', 'counter'],
  cantMigrate: ['off', 'sleep', 'real'],
  progRunCheck: ['cantSleep', 'cantMigrate'],
  pinSimple: PINS,
  pinTestRun: PINS,
  pinArray: PINS,
  pinHtab: PINS,
  pinSysBpf: PINS,
  guardTrampExcept: ['none', 'structOps', 'structOpsLsm'],
  pinBy: ['migrate', 'affinity'],
  thisCpuRmw: ['plain', 'atomic'],
  preallocRule: ['perfOnly', 'v57', 'none'],
  bucketLock: ['raw', 'regular', 'union', 'union+mapLocked', 'raw+mapLocked', 'rq'],
  mapLockedMask: ['8', 'min'],
  mapLockedGuard: ['migrate', 'preempt', 'irq'],
  traceCallPreempt: PINS,
  freelistNmi: ['spin', 'try'],
  freelistLock: ['raw', 'rq'],
  freelistPopulate: ['irqsOff', 'plain'],
  queueNmi: ['spin', 'try'],
  queueLock: ['raw', 'rq'],
  ringLock: ['sl', 'raw', 'rq'],
  lpmLock: ['raw', 'sl', 'raw+ma', 'rq'],
  alloc: ['kmalloc', 'ma'],
  stackBuildIdRt: ['naive', 'fallback'],
  uprobePreempt: ['preempt', 'none', 'sleepable'],
  tpCtx: ['preempt', 'srcu'],
  seccompPin: ['list', 'filter'],
  trampPin: ['preempt', 'migrate'],
  mightSleepText: ['short', 'long'],
  rqEntry: ['after', 'before'],
  rtSpinLockPin: ['before', 'after'],
};

/** Undefined for a knob of another kind. */
export function knobValues(knob: string): readonly string[] | undefined {
  return Object.hasOwn(VALUES, knob) ? VALUES[knob as Chosen] : undefined;
}
