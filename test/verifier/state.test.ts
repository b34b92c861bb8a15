/** States that share registers and slots: what one changes, no other sees. */
import { describe, expect, test } from '@jest/globals';
import { markConstZero, Reg } from '../../src/verifier/reg.js';
import { NOT_INIT, PTR_TO_STACK, SCALAR_VALUE } from '../../src/verifier/reg-type.js';
import { constNumber, setConst } from '../../src/verifier/scalar/index.js';
import {
  ALL_MISC,
  ALL_SPILL,
  cloneState,
  type FuncState,
  forEachReg,
  MAIN_CALLSITE,
  newFuncState,
  setSpilledReg,
  shareState,
  updateRegs,
  VerifierState,
} from '../../src/verifier/state.js';

function scalar(value: number): Reg {
  const reg = new Reg();
  markConstZero(reg);
  setConst(reg, value);
  return reg;
}

/** Two frames; r6 is 6 in both, slot 1 holds a spilled 11, slot 40 misc bytes. */
function example(): VerifierState {
  const state = new VerifierState();
  for (let i = 0; i < 2; i++) {
    const frame = newFuncState(i === 0 ? MAIN_CALLSITE : 7, i, i);
    Object.assign(frame.reg(6), scalar(6));
    frame.growStack(64);
    const slot = frame.slot(1);
    setSpilledReg(slot, scalar(11));
    slot.types = ALL_SPILL;
    frame.slot(40).types = ALL_MISC;
    state.frames.push(frame);
  }
  return state;
}

const valueText = (reg: Readonly<Reg>): string =>
  reg.type === SCALAR_VALUE ? `${constNumber(reg)}` : `type ${reg.type}`;

/** All that a frame holds, as text. */
function contents(frame: FuncState): string {
  const regs = Array.from({ length: 11 }, (_, i) => valueText(frame.peek(i)));
  const slots = Array.from({ length: frame.slotCount }, (_, spi) => {
    const { types, reg } = frame.peekSlot(spi)!;
    return `${types.toString(16)}:${reg === null ? '' : valueText(reg)}`;
  });
  return [...regs, ...slots].join(' ');
}

const textOf = (state: VerifierState): string => state.frames.map(contents).join('\n');

const CHANGES: readonly (readonly [string, (frame: FuncState) => void])[] = [
  ['a register', (frame) => setConst(frame.reg(6), 66)],
  ['a register, through all of them', (frame) => setConst(frame.regs[6]!, 66)],
  ['a register that is forgotten', (frame) => frame.forget(6)],
  ['a register that held nothing', (frame) => Object.assign(frame.reg(3), scalar(3))],
  ['a slot', (frame) => Object.assign(frame.slot(1), { types: ALL_MISC })],
  ['a slot above the 32nd', (frame) => Object.assign(frame.slot(40), { types: 0 })],
  ['a slot, through all of them', (frame) => Object.assign(frame.stack[1]!, { types: ALL_MISC })],
  ['a spilled register', (frame) => setConst(frame.slot(1).reg!, 12)],
  ['a slot that is forgotten', (frame) => frame.forgetSlot(1)],
  ['a slot that held nothing', (frame) => Object.assign(frame.slot(50), { types: ALL_MISC })],
];

describe.each([
  ['shared', shareState],
  ['cloned', cloneState],
])('%s', (_how, copy) => {
  test('both hold the same', () => {
    const state = example();
    const before = textOf(state);
    const other = copy(state);
    expect(textOf(other)).toBe(before);
    expect(textOf(state)).toBe(before);
  });

  test.each(CHANGES)('%s', (_what, change) => {
    for (const outer of [0, 1]) {
      const state = example();
      const before = textOf(state);
      const other = copy(state);
      const third = copy(other);
      change(other.frames[outer]!);
      expect(textOf(state)).toBe(before);
      expect(textOf(third)).toBe(before);
      const changed = textOf(other);
      expect(changed).not.toBe(before);
      change(state.frames[outer]!);
      expect(textOf(state)).toBe(changed);
      expect(textOf(other)).toBe(changed);
      expect(textOf(third)).toBe(before);
    }
  });

  test('every register and spilled register is visited, to be changed', () => {
    const state = example();
    const before = textOf(state);
    const other = copy(state);
    let count = 0;
    forEachReg(other, (reg) => {
      count++;
      if (reg.type === SCALAR_VALUE) setConst(reg, 1);
    });
    expect(count).toBe(2 * (11 + 1));
    expect(textOf(state)).toBe(before);
    expect(textOf(other)).toBe(before.replaceAll('0 6 type', '0 1 type').replaceAll(':11 ', ':1 '));
  });
});

test('registers obtained before a state is cloned stay good', () => {
  const state = example();
  const reg = state.frame.reg(6);
  const slot = state.frame.slot(1);
  const other = cloneState(state);
  setConst(reg, 7);
  slot.types = ALL_MISC;
  expect(valueText(state.frame.peek(6))).toBe('7');
  expect(state.frame.peekSlot(1)!.types).toBe(ALL_MISC);
  expect(valueText(other.frame.peek(6))).toBe('6');
  expect(other.frame.peekSlot(1)!.types).toBe(ALL_SPILL);
});

test('only what is wanted is copied', () => {
  const state = example();
  const other = shareState(state);
  updateRegs(
    other,
    (reg) => reg.type === SCALAR_VALUE && constNumber(reg) === 11,
    (reg) => setConst(reg, 12),
  );
  const [mine, theirs] = [other.frame, state.frame];
  expect(mine.peek(6)).toBe(theirs.peek(6));
  expect(mine.peekSlot(40)).toBe(theirs.peekSlot(40));
  expect(mine.peekSlot(1)).not.toBe(theirs.peekSlot(1));
});

test('a new frame holds its own address and nothing else', () => {
  const frame = newFuncState(MAIN_CALLSITE, 3, 0);
  const types = Array.from({ length: 11 }, (_, i) => frame.peek(i).type);
  expect(types).toEqual([...new Array<number>(10).fill(NOT_INIT), PTR_TO_STACK]);
  expect(frame.peek(10).frameno).toBe(3);
  expect(frame.slotCount).toBe(0);
});
