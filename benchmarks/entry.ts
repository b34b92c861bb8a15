/** What it costs to get into the core and out of it: short runs, flow helpers, callbacks. */
import { assemble } from '../src/isa/index.js';
import { Engine, type HelperDef, type Program } from '../src/vm/index.js';
import type { Benchmark, Suite } from './framework.js';

const CALLS = 1_000_000;
const CALL_LOOP = `
  r7 = ${CALLS}
again:
  call 1
  r7 += -1
  if r7 != 0 goto again
  exit`;
/** r1 = address of the function at the end, which the helper calls. */
const CALLBACK = `
  r1 = 0 ll
  call 1
  exit
  r0 = 0
  exit`;
const CALLBACK_SLOT = 4;
const CORE_CALLBACK_SLOT = 6;

const plain: HelperDef = { kind: 'plain', name: 'plain', run: () => 1 };
const flow: HelperDef = { kind: 'flow', name: 'flow', run: () => 1 };
const generator: HelperDef = {
  kind: 'flow',
  name: 'generator',
  *run() {
    return 1;
  },
};
const loop: HelperDef = {
  kind: 'plain',
  name: 'loop',
  run: (call) => {
    const address = call.arg(1);
    for (let i = 0; i < CALLS; i++) call.execution.callFunction(address, [i]);
    return 0;
  },
};

/** The same by the core alone. */
const coreLoop: HelperDef = { kind: 'loop', name: 'loop', limit: CALLS, tooMany: -7, badFlags: -22 };
const CORE_CALLBACK = `
  r2 = 0 ll
  r1 = ${CALLS}
  r4 = 0
  call 1
  exit
  r0 = 0
  exit`;
/** A look-up by index, which ends in the core. */
const LOOKUP_LOOP = `
  r6 = r1
  *(u32 *)(r10 - 4) = 2
  r7 = ${CALLS}
again:
  r2 = r10
  r2 += -4
  r1 = r6
  call 1
  r7 += -1
  if r7 != 0 goto again
  exit`;
const indexed: HelperDef = { kind: 'indexed', name: 'indexed', run: () => 0 };

function lookups(checked: boolean): Benchmark {
  return {
    name: `look-up by index and the loop around it, ${checked ? 'checked' : 'unchecked'}`,
    unit: 'call',
    inMean: false,
    prepare: () => {
      const engine = new Engine();
      const base = engine.alloc(64).address32;
      const header = engine.alloc(64, 'none');
      engine.memory.describe(header.address32, { count: 4, stride: 16, base });
      const insns = assemble(LOOKUP_LOOP);
      const program = engine.load({ name: 'look-up', insns }, { checked, helpers: () => indexed });
      return () => {
        if (engine.run(program, { args: [header.address] }).r0 === 0n) throw new Error('nothing found');
        return CALLS;
      };
    },
  };
}

function calls(name: string, helper: HelperDef, text = CALL_LOOP, checked = false): Benchmark {
  return {
    name,
    unit: 'call',
    inMean: false,
    prepare: () => {
      const engine = new Engine();
      const insns = assemble(text);
      const callback = text === CALLBACK ? CALLBACK_SLOT : CORE_CALLBACK_SLOT;
      if (text !== CALL_LOOP) Object.assign(insns[0]!, { src: 4, imm: callback - 1 });
      const program = engine.load({ name, insns }, { checked, helpers: () => helper });
      return () => {
        const { fault } = engine.run(program);
        if (fault !== undefined) throw new Error(`${name}: ${fault.detail}`);
        return CALLS;
      };
    },
  };
}

const shortRuns: Benchmark = {
  name: 'run of two instructions',
  unit: 'run',
  inMean: false,
  prepare: () => {
    const engine = new Engine();
    const program: Program = engine.load(
      { name: 'short', insns: assemble('r0 = 1\nexit') },
      { checked: false },
    );
    return () => {
      for (let i = 0; i < CALLS; i++) engine.run(program);
      return CALLS;
    };
  },
};

export const ENTRY: Suite = {
  name: 'entry and exit',
  benchmarks: [
    calls('plain helper, and the loop around it', plain),
    calls('flow helper', flow),
    calls('flow helper, a generator', generator),
    calls('callback from a plain helper', loop, CALLBACK),
    calls('callback of a loop in the core', coreLoop, CORE_CALLBACK),
    calls('callback of a loop in the core, checked', coreLoop, CORE_CALLBACK, true),
    lookups(false),
    lookups(true),
    shortRuns,
  ],
};
