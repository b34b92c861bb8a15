/**
 * A program's control flow: basic blocks of each function, how they follow each other, and, where the verifier has been
 * through it, what it knew at each block's beginning.
 */
import { helperById } from '../abi/helpers.js';
import { BPF_CALL, BPF_EXIT, BPF_JA, BPF_JMP, BPF_JMP32, bpfClass, bpfOp } from '../isa/constants.js';
import { type DisasmOptions, disassemble } from '../isa/disasm.js';
import type { Insn } from '../isa/insn.js';
import { functionTarget, jumpTarget } from '../isa/jumps.js';
import type { LoadableProgram } from '../object/types.js';
import type { VerifyResult } from '../verifier/index.js';
import { type DotEdge, type DotNode, dotGraph } from './dot.js';

/** Slots `start` to `end` (exclusive), entered at the first and left at the last. */
export interface BasicBlock {
  readonly start: number;
  readonly end: number;
  /** Function that it belongs to. */
  readonly func: string;
  readonly successors: readonly { readonly to: number; readonly how: 'next' | 'taken' | 'jump' }[];
  /** First slots of the functions that it calls or takes the address of. */
  readonly calls: readonly number[];
}

/** The blocks of all functions, by first slot. */
export function basicBlocks(program: Pick<LoadableProgram, 'insns' | 'name' | 'subProgs'>): BasicBlock[] {
  const { insns } = program;
  const functions = functionStarts(program);
  const leaders = new Set<number>(functions.keys());
  const listing = [...disassemble(insns)];
  for (const { slot, slots } of listing) {
    const insn = insns[slot]!;
    if (!isJump(insn)) continue;
    leaders.add(slot + slots);
    const target = branchTarget(insn, slot);
    if (target !== undefined) leaders.add(target);
  }
  const blocks: BasicBlock[] = [];
  let func = program.name;
  let start = 0;
  for (const { slot, slots } of listing) {
    func = functions.get(slot) ?? func;
    const end = slot + slots;
    if (end < insns.length && !leaders.has(end)) continue;
    const calls = listing
      .filter((row) => row.slot >= start && row.slot < end)
      .flatMap((row) => functionTarget(insns[row.slot]!, row.slot) ?? []);
    blocks.push({ start, end, func, successors: successorsOf(insns[slot]!, slot, end), calls });
    start = end;
  }
  return blocks;
}

function functionStarts({ name, subProgs }: Pick<LoadableProgram, 'name' | 'subProgs'>): Map<number, string> {
  const starts = new Map([[0, name]]);
  for (const sub of subProgs) starts.set(sub.insnOff, sub.name);
  return starts;
}

function isJump(insn: Insn): boolean {
  const family = bpfClass(insn.code);
  return (family === BPF_JMP || family === BPF_JMP32) && bpfOp(insn.code) !== BPF_CALL;
}

function branchTarget(insn: Insn, slot: number): number | undefined {
  return isJump(insn) && bpfOp(insn.code) !== BPF_EXIT ? jumpTarget(insn, slot) : undefined;
}

function successorsOf(insn: Insn, slot: number, end: number): BasicBlock['successors'] {
  if (!isJump(insn)) return [{ to: end, how: 'next' }];
  if (bpfOp(insn.code) === BPF_EXIT) return [];
  const target = branchTarget(insn, slot);
  if (bpfOp(insn.code) === BPF_JA) return target === undefined ? [] : [{ to: target, how: 'jump' }];
  const next = { to: end, how: 'next' } as const;
  return target === undefined ? [next] : [{ to: target, how: 'taken' }, next];
}

/** Most states shown at a block. */
const MAX_STATES = 4;

/** What the verifier knew on entry, by slot: from the branch lines of a log of level 2. */
export function entryStates(log: string): Map<number, string[]> {
  const states = new Map<number, string[]>();
  for (const [, from, to, state] of log.matchAll(/^from (\d+) to (\d+)(?: \([^)]*\))?: (.*)$/gm)) {
    const at = Number(to);
    const known = states.get(at) ?? [];
    states.set(at, known);
    const text = `from ${from}: ${state}`;
    if (!known.includes(text)) known.push(text);
  }
  return states;
}

/** A program's flow as a Graphviz graph; `result` adds what the verifier saw. */
export function cfgDot(
  program: LoadableProgram,
  result?: VerifyResult,
  kfuncName?: (id: number) => string | undefined,
): string {
  const blocks = basicBlocks(program);
  const options: DisasmOptions = {
    dialect: 'kernel',
    helperName: (id) => {
      const helper = helperById(id);
      return helper === undefined ? undefined : `bpf_${helper.name}`;
    },
    ...(kfuncName && { kfuncName: ({ imm }) => kfuncName(imm) }),
  };
  const texts = new Map([...disassemble(program.insns, options)].map((row) => [row.slot, row.text]));
  const states = result === undefined ? new Map<number, string[]>() : entryStates(result.log);
  const nodes = blocks.map((block) => nodeOf(block, texts, states.get(block.start) ?? [], result));
  const known = new Set(blocks.map(({ start }) => start));
  const edges: DotEdge[] = [];
  for (const { start, successors, calls } of blocks) {
    const from = `b${start}`;
    for (const { to, how } of successors) {
      if (!known.has(to)) continue;
      const label = how === 'taken' ? 'taken' : '';
      edges.push({ from, to: `b${to}`, label, ...(to <= start && { attributes: { style: 'bold' } }) });
    }
    for (const callee of calls) {
      if (known.has(callee))
        edges.push({ from, to: `b${callee}`, label: 'call', attributes: { style: 'dashed' } });
    }
  }
  return dotGraph(program.name, nodes, edges);
}

/** Characters a line of a state; registers are kept whole. */
const STATE_WIDTH = 72;

function wrapped(state: string): string[] {
  const lines: string[] = [];
  for (const word of state.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < STATE_WIDTH)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(lines.length === 0 ? word : `  ${word}`);
  }
  return lines;
}

function nodeOf(
  block: BasicBlock,
  texts: ReadonlyMap<number, string>,
  states: readonly string[],
  result: VerifyResult | undefined,
): DotNode {
  const lines = states.slice(0, MAX_STATES).flatMap(wrapped);
  if (states.length > MAX_STATES) lines.push(`… ${states.length - MAX_STATES} more states`);
  for (let slot = block.start; slot < block.end; slot++) {
    const text = texts.get(slot);
    if (text !== undefined) lines.push(`${slot}: ${text}`);
  }
  const node = { id: `b${block.start}`, lines, group: block.func };
  if (result === undefined) return node;
  const { insn, reached, verdict, message } = result;
  if (verdict === 'reject' && insn !== undefined && insn >= block.start && insn < block.end) {
    return { ...node, lines: [...lines, message], attributes: { color: 'red', penwidth: '2' } };
  }
  return reached[block.start] === 0 ? { ...node, attributes: { color: 'gray', fontcolor: 'gray' } } : node;
}
