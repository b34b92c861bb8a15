/**
 * Runs instruction streams in the engine: checked, with little fuel, trivial helpers, and memory around
 * them that must stay as it is. Anything but a fault or an exit within the fuel is a finding.
 */
import type { Insn } from '../../src/isa/insn.js';
import {
  Engine,
  type HelperDef,
  type LoadOptions,
  type Program,
  type RunResult,
} from '../../src/vm/index.js';

/** Instructions that one run may execute. */
const FUEL = 20_000;
const CONTEXT_BYTES = 256;
const CANARY = 0xa5;
const MASK = 0xffff_ffff_ffff_ffffn;

const HELPERS: readonly HelperDef[] = [
  { kind: 'const', name: 'zero', value: 0 },
  { kind: 'plain', name: 'add', run: (call) => call.arg(1) + call.arg(2) },
];

const options: LoadOptions = {
  checked: true,
  exactFuel: true,
  helpers: (kind, id) => (kind === 'helper' && id > 0 && id < 300 ? HELPERS[id % HELPERS.length] : undefined),
};

const engine = new Engine({ memoryLimitBytes: 16 << 20 });
const context = engine.alloc(CONTEXT_BYTES);
const packet = engine.alloc(64);
const value = engine.alloc(64);
const readOnly = engine.alloc(64, 'read');
const hidden = engine.alloc(64, 'none');

function refill(): void {
  for (const region of [context, packet, value]) region.bytes.fill(0x11);
  for (const region of [readOnly, hidden]) region.bytes.fill(CANARY);
}

function check(program: Program, result: RunResult): void {
  const { name } = program;
  if (result.instructions > FUEL)
    throw new Error(`${name}: ran ${result.instructions} instructions on ${FUEL} of fuel`);
  if (result.r0 < 0n || result.r0 > MASK) throw new Error(`${name}: r0 is ${result.r0}`);
  if (result.fault !== undefined && (result.fault.detail === '' || result.fault.detail.includes('\n'))) {
    throw new Error(`${name}: fault without a one-line detail`);
  }
  for (const region of [readOnly, hidden]) {
    if (region.bytes.some((byte) => byte !== CANARY))
      throw new Error(`${name}: wrote memory that it may not write`);
  }
}

function runOnce(program: Program): RunResult {
  refill();
  const result = engine.run(program, {
    args: [context.address, CONTEXT_BYTES, readOnly.address, hidden.address, value.address],
    fuel: FUEL,
    packet: { region: packet, networkOffset: 14 },
  });
  check(program, result);
  return result;
}

/** Loads and runs twice; both runs must end alike. Throws `VmProgramError` for what the engine refuses. */
export function runInEngine(name: string, insns: readonly Insn[]): void {
  const program = engine.load({ name, insns, resolveImm: () => value.address }, options);
  try {
    const first = runOnce(program);
    const second = runOnce(program);
    if (
      first.r0 !== second.r0 ||
      first.instructions !== second.instructions ||
      first.fault?.kind !== second.fault?.kind
    ) {
      throw new Error(
        `${name}: two runs differ: ${first.r0}/${first.instructions}, ${second.r0}/${second.instructions}`,
      );
    }
  } finally {
    engine.unload(program);
  }
}
