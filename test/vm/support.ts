/** Assembles and runs small programs, on one engine where a test does not bring its own. */
import { assemble } from '../../src/isa/asm/index.js';
import type { Insn } from '../../src/isa/insn.js';
import {
  Engine,
  type HelperDef,
  type LoadOptions,
  type Program,
  type RunResult,
  type StartOptions,
} from '../../src/vm/index.js';

export interface TextOptions extends StartOptions, Omit<LoadOptions, 'helpers'> {
  readonly helpers?: Readonly<Record<number, HelperDef>>;
  readonly engine?: Engine;
}

const shared = new Engine();

export function loadText(engine: Engine, text: string, options: TextOptions = {}): Program {
  const { checked, exactFuel, helpers } = options;
  return engine.load(
    { name: 'test', insns: assemble(text) },
    {
      ...(checked === undefined ? {} : { checked }),
      ...(exactFuel === undefined ? {} : { exactFuel }),
      helpers: (kind, id) => (kind === 'helper' ? helpers?.[id] : undefined),
    },
  );
}

export function runText(text: string, options: TextOptions = {}): RunResult {
  const engine = options.engine ?? shared;
  const program = loadText(engine, text, options);
  try {
    return engine.run(program, options);
  } finally {
    engine.unload(program);
  }
}

/** The four loops of the core: checked or not, with fused operations or one at a time. */
export const LOOPS: readonly (readonly [string, Omit<LoadOptions, 'helpers'>])[] = [
  ['checked', { checked: true }],
  ['unchecked', { checked: false }],
  ['checked, exact fuel', { checked: true, exactFuel: true }],
  ['unchecked, exact fuel', { checked: false, exactFuel: true }],
];

/** Assembles text in which `rN = func LABEL` stands for the address of the function at a label. */
export function assembleFunctions(text: string): Insn[] {
  const labels = [...text.matchAll(/= func (\w+)/g)].map(([, label]) => label!);
  const calls = labels.map((label) => `call ${label}`).join('\n');
  const insns = assemble(`${text.replaceAll(/= func \w+/g, '= 0 ll')}\n${calls}`);
  // The calls at the end tell where the labels are.
  const slots = insns.splice(insns.length - labels.length).map(({ imm }, i) => insns.length + i + 1 + imm);
  for (const [at, insn] of insns.entries()) {
    if (insn.code === 0x18 && slots.length > 0) Object.assign(insn, { src: 4, imm: slots.shift()! - at - 1 });
  }
  return insns;
}
