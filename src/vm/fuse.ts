/**
 * Chooses super-instructions. For every cell, from the last to the first, the cheapest way to the end of
 * its straight-line run: alone, or as the first of two or three that a fused operation carries out
 * together. Cells behind a fused one keep their own operation, so a jump may lead to any of them.
 */

import type { Cell } from './cell.js';
import { HOT_REGS } from './core/layout.js';
import { CORE_OPS, FUSIONS } from './core.wasm.js';

/** Cost of going to the next cell, in units of what a fused cell saves by keeping a value in a local. */
const DISPATCH = 3;
/** Cost of a cell within a fused operation; alone it costs 1. */
const FUSED_CELL = 0.8;
const KINDS: Readonly<Record<string, number>> = { chain: 1, tail: 2, use: 3, test: 4, pair: 5, loop: 6 };
const NAMES = new Map<string, number>();
const FUSED = new Map<number, number>();

function nameId(name: string): number {
  let id = NAMES.get(name);
  if (id === undefined) {
    id = NAMES.size + 1;
    NAMES.set(name, id);
  }
  return id;
}

const keyOf = (kind: number, a: number, b: number, c: number): number =>
  ((kind * 128 + a) * 128 + b) * 128 + c;

for (const [kind, names, op] of FUSIONS) {
  const [a, b, c] = names.split(' ').map(nameId);
  FUSED.set(keyOf(KINDS[kind]!, a!, b!, c ?? 0), op);
}

/** Fused operations' names of every operation: as it is, without its operand's kind, without `_back`. */
const IDS: readonly number[] = Object.keys(CORE_OPS).map((name) => {
  const base = name.replace(/_back$/, '');
  return NAMES.get(base) ?? NAMES.get(base.replace(/_(imm|reg)$/, '')) ?? 0;
});
const OP_NAMES = Object.keys(CORE_OPS);
const IS_ALU = OP_NAMES.map((name) =>
  /^(mov|add|sub|mul|and|or|xor|lsh|rsh|arsh)(32|64)_(imm|reg)$/.test(name),
);
const IS_REG_ALU = OP_NAMES.map((name, i) => IS_ALU[i]! && name.endsWith('_reg'));
const IS_LOAD = OP_NAMES.map((name) => /^ldx_(u|stack)/.test(name));
const IS_JUMP = OP_NAMES.map((name) => name.startsWith('j'));
const IS_REG_JUMP = OP_NAMES.map((name, i) => IS_JUMP[i]! && /_reg(_back)?$/.test(name));
const IS_JA = OP_NAMES.map((name) => name === 'ja' || name === 'ja_back');

/**
 * Where fused arithmetic in a cell at memory offset `at` finds its operand: in the source register, or in
 * the cell itself. Undefined for other operations, whose displacement means something.
 */
export function operandAddress(cell: Cell, at: number): number | undefined {
  if (!IS_ALU[cell.op]) return undefined;
  return IS_REG_ALU[cell.op] ? HOT_REGS + cell.src * 8 : at + 8;
}

/** The fused operation for the `n` cells from `i`, or 0. */
function fusionAt(cells: readonly Cell[], i: number, n: number): number {
  const a = cells[i]!;
  const b = cells[i + 1];
  const c = n === 3 ? cells[i + 2] : undefined;
  if (b === undefined || (n === 3 && c === undefined)) return 0;
  const ids: [number, number, number] = [IDS[a.op]!, IDS[b.op]!, c === undefined ? 0 : IDS[c.op]!];
  if (ids[0] === 0 || ids[1] === 0 || (n === 3 && ids[2] === 0)) return 0;
  const find = (kind: string) => FUSED.get(keyOf(KINDS[kind]!, ...ids)) ?? 0;
  const last = c ?? b;
  if (IS_ALU[a.op]) {
    const chained =
      (n === 2 || (IS_ALU[b.op]! && b.dst === a.dst)) && !readsOwn(b, a) && !(c && readsOwn(c, a));
    const ends = IS_JA[last.op]! || (last.dst === a.dst && !(IS_REG_JUMP[last.op]! && last.src === a.dst));
    const kind = IS_JUMP[last.op] ? 'tail' : 'chain';
    if (chained && ends && (IS_JUMP[last.op] || IS_ALU[last.op])) {
      const op = find(kind);
      if (op !== 0) return op;
    }
  }
  if (n === 3) {
    const counts = IS_JUMP[last.op]! && last.dst === b.dst && !(IS_REG_JUMP[last.op]! && last.src === b.dst);
    return counts ? find('loop') : find('pair');
  }
  if (IS_LOAD[a.op]) {
    if (IS_REG_ALU[b.op] && b.src === a.dst && b.dst !== a.dst) {
      const op = find('use');
      if (op !== 0) return op;
    }
    if (IS_JUMP[b.op] && b.dst === a.dst) return find('test');
  }
  return find('pair');
}

/** Arithmetic whose source is the very register of the chain would read it before it is written. */
function readsOwn(cell: Cell, first: Cell): boolean {
  return IS_REG_ALU[cell.op]! && cell.src === first.dst;
}

/**
 * How much of what lies behind cells `i` to `i + n − 1` is likely to be executed next: all of it, half of it
 * behind a jump forward, none behind a jump back, which closes a loop.
 */
function followed(cells: readonly Cell[], i: number, n: number): number {
  let share = 1;
  for (let k = i; k < i + n; k++) {
    const cell = cells[k]!;
    if (IS_JA[cell.op] || (IS_JUMP[cell.op] && cell.target <= k)) return 0;
    if (IS_JUMP[cell.op]) share *= 0.5;
  }
  return share;
}

/** The operation of every cell, fused where that is cheaper. */
export function fuse(cells: readonly Cell[]): Uint16Array {
  const ops = new Uint16Array(cells.length);
  const cost = new Float64Array(cells.length + 1);
  for (let i = cells.length - 1; i >= 0; i--) {
    ops[i] = cells[i]!.op;
    let best = DISPATCH + 1 + followed(cells, i, 1) * cost[i + 1]!;
    for (let n = 3; n >= 2; n--) {
      if (i + n > cells.length) continue;
      const op = fusionAt(cells, i, n);
      if (op === 0) continue;
      const fused = DISPATCH + n * FUSED_CELL + followed(cells, i, n) * cost[i + n]!;
      if (fused < best) {
        best = fused;
        ops[i] = op;
      }
    }
    cost[i] = best;
  }
  return ops;
}
