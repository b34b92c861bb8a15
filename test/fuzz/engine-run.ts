/**
 * Runs instruction streams in the engine: checked, with little fuel, trivial helpers, and memory around
 * them that must stay as it is. Anything but a fault or an exit within the fuel is a finding.
 */
import { BPF_PSEUDO_FUNC, type Insn, LD_IMM64 } from '../../src/isa/index.js';
import {
  Engine,
  type HelperDef,
  type LoadOptions,
  type Program,
  type RunResult,
} from '../../src/vm/index.js';

/** Instructions that one run may execute. */
const FUEL = 20_000;
/** How far a run without exact fuel may go past it: to the next backward jump or call. */
const SLACK = 1 << 16;
const CONTEXT_BYTES = 256;
const CANARY = 0xa5;
const MASK = 0xffff_ffff_ffff_ffffn;

const HELPERS: readonly HelperDef[] = [
  { kind: 'const', name: 'zero', value: 0 },
  { kind: 'plain', name: 'add', run: (call) => call.arg(1) + call.arg(2) },
];

const options: LoadOptions = {
  checked: true,
  helpers: (kind, id) => (kind === 'helper' && id > 0 && id < 300 ? HELPERS[id % HELPERS.length] : undefined),
};

const engine = new Engine({ memoryLimitBytes: 16 << 20 });
const context = engine.alloc(CONTEXT_BYTES);
const packet = engine.alloc(64);
const value = engine.alloc(64);
const readOnly = engine.alloc(64, 'read');
const hidden = engine.alloc(64, 'none');

const execution = engine.execution();

/** What a run finds, so that two runs find the same: the stack keeps what the last program left there. */
function refill(): void {
  execution.stack.bytes.fill(0);
  for (const region of [context, packet, value]) region.bytes.fill(0x11);
  for (const region of [readOnly, hidden]) region.bytes.fill(CANARY);
}

function check(program: Program, result: RunResult): void {
  const { name } = program;
  if (result.instructions > FUEL + SLACK)
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
  execution.start(program, {
    args: [context.address, CONTEXT_BYTES, readOnly.address, hidden.address, value.address],
    fuel: FUEL,
    packet: { region: packet, networkOffset: 14 },
  });
  const result = execution.finish();
  check(program, result);
  return result;
}

/** Function addresses are wherever the program was loaded. */
const takesFunctionAddress = (insns: readonly Insn[]): boolean =>
  insns.some(({ code, src }) => code === LD_IMM64 && src === BPF_PSEUDO_FUNC);

const outcome = ({ r0, instructions, fault }: RunResult): string =>
  fault === undefined
    ? `r0 ${r0} after ${instructions}`
    : `${fault.kind} at ${fault.insn} after ${instructions}`;

function load(name: string, insns: readonly Insn[], exactFuel: boolean): Program {
  return engine.load({ name, insns, resolveImm: () => value.address }, { ...options, exactFuel });
}

/**
 * Loads and runs a program twice with exact fuel, once without (fused instructions), all of which must end alike. Throws
 * `VmProgramError` for what the engine refuses.
 */
export function runInEngine(name: string, insns: readonly Insn[]): void {
  const exact = load(name, insns, true);
  const fast = load(name, insns, false);
  try {
    const first = outcome(runOnce(exact));
    const second = outcome(runOnce(exact));
    if (first !== second) throw new Error(`${name}: two runs differ: ${first}, ${second}`);
    const other = runOnce(fast);
    if (takesFunctionAddress(insns)) return;
    // where fuel runs out is up to the mode
    if (other.fault?.kind === 'out-of-fuel' || first.startsWith('out-of-fuel')) return;
    if (outcome(other) !== first)
      throw new Error(`${name}: ${first} with exact fuel, ${outcome(other)} without`);
  } finally {
    engine.unload(exact);
    engine.unload(fast);
  }
}
