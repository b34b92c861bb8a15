/** Programs that are refused before they run, with the instruction at fault. */
import { describe, expect, test } from '@jest/globals';
import { assemble } from '../../src/isa/asm/index.js';
import { decodeInsns } from '../../src/isa/index.js';
import { Engine, VmProgramError } from '../../src/vm/index.js';
import { loadText } from './support.js';

/** [what, instructions in hex without the final exit, code, message] */
const ROWS: readonly (readonly [string, string, string, string])[] = [
  ['unknown opcode', 'ff00000000000000', 'VM_BAD_INSTRUCTION', 'p, insn 0: unknown opcode ff'],
  ['reserved field', '0f10010000000000', 'VM_BAD_INSTRUCTION', 'p, insn 0: BPF_ALU uses reserved fields'],
  ['register', 'bf0b000000000000', 'VM_BAD_REGISTER', 'p, insn 0: R11 is invalid'],
  ['frame pointer', 'b70a000000000000', 'VM_BAD_REGISTER', 'p, insn 0: frame pointer is read only'],
  ['jump out', '0500050000000000', 'VM_BAD_JUMP', 'p, insn 0: jump to 6 leaves the program of 2 slots'],
  ['jump before', '0500feff00000000', 'VM_BAD_JUMP', 'p, insn 0: jump to -1 leaves the program of 2 slots'],
  [
    'jump into LD_IMM64',
    '05000100000000001800000000000000' + '0000000000000000',
    'VM_BAD_JUMP',
    'p, insn 0: jump to 2 leads into the middle of LD_IMM64',
  ],
  ['half of LD_IMM64', '1800000000000000', 'VM_BAD_INSTRUCTION', 'p, insn 0: invalid bpf_ld_imm64 insn'],
  ['map', '18110000010000000000000000000000', 'VM_UNRESOLVED_IMM', 'LD_IMM64 with source 1'],
  ['helper', '8500000001000000', 'VM_UNKNOWN_HELPER', 'p, insn 0: helper 1 is not known here'],
  ['kfunc', '8520000001000000', 'VM_UNKNOWN_HELPER', 'p, insn 0: kfunc 1 is not known here'],
  ['local call', '8510000009000000', 'VM_BAD_JUMP', 'p, insn 0: jump to 10 leaves the program of 2 slots'],
  ['indirect jump', '0d00000000000000', 'VM_BAD_INSTRUCTION', 'p, insn 0: unknown opcode 0d'],
];

describe('refused', () => {
  test.each(ROWS)('%s', (_what, hex, code, message) => {
    const insns = decodeInsns(Uint8Array.from(Buffer.from(`${hex}9500000000000000`, 'hex')));
    const load = () => new Engine().load({ name: 'p', insns });
    expect(load).toThrow(VmProgramError);
    expect(load).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test('nothing at all', () => {
    expect(() => new Engine().load({ name: 'p', insns: [] })).toThrow('p: program p has no instructions');
  });

  test('big-endian', () => {
    const load = () => new Engine().load({ name: 'p', insns: assemble('exit'), endian: 'big' });
    expect(load).toThrow(expect.objectContaining({ code: 'VM_BIG_ENDIAN' }));
  });
});

test('maps and types are resolved by the host', () => {
  const engine = new Engine();
  const insns = decodeInsns(
    Uint8Array.from(Buffer.from('1820000002000000' + '0000000005000000' + '9500000000000000', 'hex')),
  );
  const resolveImm = (source: number, imm: number, next: number, insn: number) =>
    BigInt(source * 1000 + imm * 100 + next * 10 + insn);
  expect(engine.run(engine.load({ name: 'p', insns, resolveImm })).r0).toBe(2250n);
});

test('slots and cells', () => {
  const program = loadText(new Engine(), 'r0 = 1 ll\nr1 = 2\nr2 = 3 ll\nexit');
  expect([...program.slots]).toEqual([0, 2, 3, 5, 6]);
  expect(program.cellOf(3)).toBe(program.start + 32);
  expect(program.cellOf(1)).toBe(-1);
  expect(program.slotOf(program.start + 48)).toBe(5);
});

test('the code pool is used again after programs are unloaded', () => {
  const engine = new Engine();
  const big = [...new Array(5_000).fill(assemble('r0 = 1')[0]!), ...assemble('exit')];
  const starts = [0, 1, 2].map(() => {
    const program = engine.load({ name: 'big', insns: big });
    expect(engine.run(program)).toEqual({ r0: 1n, instructions: 5_001 });
    engine.unload(program);
    return program.start;
  });
  expect(new Set(starts).size).toBe(1);
});

test('an unloaded program does not run', () => {
  const engine = new Engine();
  const program = loadText(engine, 'exit');
  engine.unload(program);
  expect(() => engine.run(program)).toThrow('unloaded');
});
