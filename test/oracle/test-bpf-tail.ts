/**
 * The tail call vectors of lib/test_bpf.c. The corpus keeps each program up to its first tail call, which
 * the module writes as a marker: the rest (index relative to the vector's own place, and what follows)
 * stands here.
 */
import { decodeInsns, type Insn, LD_IMM64, makeInsn } from '../../src/isa/index.js';
import { Engine, type HelperDef, type Program } from '../../src/vm/index.js';

export interface TailCallVector {
  readonly class: 'tail_call';
  readonly name: string;
  readonly insns: string;
  readonly has_tail_call: boolean;
  /** Bit 0: r1 points to a counter; bit 1: the counter is the result. */
  readonly flags: number;
  readonly result: number;
}

const NULL_TARGET = 0x7fff;
const INVALID_TARGET = 0x7ffe;
/** Runs of the module's timing loop, over which counters add up. */
const RUNS = 1000;
const BPF_FUNC_TAIL_CALL = 12;

/** Index that a vector calls, relative to its own, and whether r0 = −1 stands behind the call. */
const CALLS: ReadonlyMap<string, readonly [offset: number, minusOne: boolean]> = new Map([
  ['Tail call 2', [-1, true]],
  ['Tail call 3', [-1, true]],
  ['Tail call 4', [-1, true]],
  ['Tail call load/store', [-1, true]],
  ['Tail call error path, max count reached', [0, false]],
  ['Tail call count preserved across function calls', [0, false]],
  ['Tail call error path, NULL target', [NULL_TARGET, false]],
  ['Tail call error path, index out of range', [INVALID_TARGET, false]],
]);

/** The whole program of the vector at `index` of `total`; a call with a null target names slot `total`. */
function complete(vector: TailCallVector, index: number, total: number): Insn[] {
  const bytes = Buffer.from(vector.insns, 'hex');
  const insns = decodeInsns(Uint8Array.from(bytes)).filter((insn) => insn.code !== LD_IMM64);
  // The module's marker of a helper call is the source of a local call.
  for (const insn of insns) if (insn.code === 0x85) insn.src = 0;
  const call = CALLS.get(vector.name);
  if (call === undefined) return insns;
  const [offset, minusOne] = call;
  const target = offset === NULL_TARGET ? total : offset === INVALID_TARGET ? total + 1 : index + offset;
  insns.push(makeInsn('mov32_imm', { dst: 3, imm: target }));
  insns.push(makeInsn('call_helper', { imm: BPF_FUNC_TAIL_CALL }));
  if (minusOne) insns.push(makeInsn('mov64_imm', { dst: 0, imm: -1 }));
  insns.push(makeInsn('exit'));
  return insns;
}

/** What is wrong with each vector, or undefined. */
export function runTailCalls(vectors: readonly TailCallVector[]): Map<string, string | undefined> {
  const engine = new Engine();
  const programs: (Program | undefined)[] = [];
  const tail: HelperDef = { kind: 'tail', name: 'tail_call', run: (call) => programs[call.argU32(3)] };
  const other: HelperDef = {
    kind: 'plain',
    name: 'clobber',
    run: (call) => {
      for (let n = 1; n <= 5; n++) call.i64[n] = -1n;
      return 0;
    },
  };
  const helpers = (_kind: string, id: number) => (id === BPF_FUNC_TAIL_CALL ? tail : other);
  vectors.forEach((vector, i) => {
    programs[i] = engine.load({ name: vector.name, insns: complete(vector, i, vectors.length) }, { helpers });
  });
  const results = new Map<string, string | undefined>();
  vectors.forEach((vector, i) => {
    results.set(vector.name, runOne(engine, programs[i]!, vector));
  });
  return results;
}

/** Runs one vector as often as the module does where a counter is its result. */
function runOne(engine: Engine, program: Program, vector: TailCallVector): string | undefined {
  const counter = engine.alloc(8);
  const inState = (vector.flags & 2) !== 0;
  const args = [(vector.flags & 1) !== 0 ? counter.address : 0];
  let value = 0n;
  for (let run = 0; run < (inState ? RUNS : 1); run++) {
    const { r0, fault } = engine.run(program, { args });
    if (fault !== undefined) return `insn ${fault.insn}: ${fault.detail}`;
    value = inState ? BigInt(counter.bytes[0]! | (counter.bytes[1]! << 8)) : BigInt.asUintN(32, r0);
  }
  return value === BigInt(vector.result) ? undefined : `got ${value}, expected ${vector.result}`;
}
