/**
 * Micro-kernels of about 100 million instructions each: arithmetic, stack memory, unpredictable branches, and
 * helper calls. Each runs unchecked, as verified programs do, and checked, as raw programs do.
 */
import { assemble } from '../src/isa/index.js';
import { Engine, type HelperDef } from '../src/vm/index.js';
import type { Benchmark, Suite } from './framework.js';

/** r0 = ((r0 + 7) · 13) ^ r1, twenty million times. */
const ARITHMETIC = `
  r0 = 1
  r1 = 20000000 ll
  r2 = 7
again:
  r0 += r2
  r0 *= 13
  r0 ^= r1
  r1 += -1
  if r1 != 0 goto again
  exit`;

/** Stores and loads of 8 bytes and of 1. */
const MEMORY = `
  r0 = 0
  r1 = 12500000
again:
  *(u64 *)(r10 - 8) = r1
  r2 = *(u64 *)(r10 - 8)
  *(u8 *)(r10 - 16) = r2
  r3 = *(u8 *)(r10 - 16)
  r0 += r3
  r0 += 1
  r1 += -1
  if r1 != 0 goto again
  exit`;

/** Steps of the Collatz sequences of 1 to 140,000: branches that nobody can foresee. */
const COLLATZ = `
  r0 = 0
  r6 = 1
number:
  r1 = r6
step:
  if r1 == 1 goto next
  r0 += 1
  r2 = r1
  r2 &= 1
  if r2 == 0 goto even
  r1 *= 3
  r1 += 1
  goto step
even:
  r1 >>= 1
  goto step
next:
  r6 += 1
  if r6 > 140000 goto done
  goto number
done:
  exit`;

/** Twenty million calls of a trivial helper. */
const HELPER = `
  r6 = 0
  r7 = 20000000
again:
  r1 = r6
  call 1
  r6 = r0
  r7 += -1
  if r7 != 0 goto again
  r0 = r6
  exit`;

/** Arguments and results cross into JavaScript and back. */
const plusOne: HelperDef = { kind: 'plain', name: 'plus_one', run: (call) => call.i32[2]! + 1 };
/** What a helper like `bpf_get_smp_processor_id` becomes: a word of memory that the core reads itself. */
const inCore = (engine: Engine): HelperDef => ({
  kind: 'slot',
  name: 'cpu',
  offset: engine.alloc(8).address32,
  size: 4,
});

interface Kernel {
  readonly name: string;
  readonly text: string;
  readonly helper?: (engine: Engine) => HelperDef;
  readonly inMean: boolean;
}

const KERNELS: readonly Kernel[] = [
  { name: 'arithmetic', text: ARITHMETIC, inMean: true },
  { name: 'stack memory', text: MEMORY, inMean: true },
  { name: 'collatz', text: COLLATZ, inMean: true },
  { name: 'helper in JavaScript', text: HELPER, helper: () => plusOne, inMean: true },
  { name: 'helper in the core', text: HELPER, helper: inCore, inMean: false },
];

function benchmark({ name, text, helper, inMean }: Kernel, checked: boolean): Benchmark {
  return {
    name,
    unit: 'insn',
    inMean,
    prepare: () => {
      const engine = new Engine();
      const def = helper?.(engine);
      const program = engine.load({ name, insns: assemble(text) }, { checked, helpers: () => def });
      return () => {
        const { fault, instructions } = engine.run(program);
        if (fault !== undefined) throw new Error(`${name}: ${fault.detail}`);
        return instructions;
      };
    },
  };
}

export const MICRO: readonly Suite[] = [
  { name: 'micro, verified', benchmarks: KERNELS.map((kernel) => benchmark(kernel, false)) },
  { name: 'micro, checked', benchmarks: KERNELS.map((kernel) => benchmark(kernel, true)) },
];
