/** Jumps, loops and the shape of the program. */
import { jumpTarget } from '../../../isa/jumps.js';
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';
import { nothing } from './common.js';

const named = (f: Finding): number => f.number('insn');

export const CONTROL_FLOW_RULES: readonly Rule[] = [
  {
    id: 'unreachable',
    title: 'Instruction that nothing reaches',
    pattern: /^unreachable insn (?<insn>\d+)/,
    text: 'Every instruction has to be reachable by jumps, calls or falling through, whatever the values.',
    what: (f) => `No jump, call or fall through leads to insn ${f.text('insn')}.`,
    mend: [
      'Remove the dead code, or build with optimisation.',
      'A function of the object that is never called should not be part of the program.',
      'Check jump offsets: they count from the next instruction, and LD_IMM64 takes two slots.',
    ],
    follow: nothing,
    locate: named,
  },
  {
    id: 'jump-range',
    title: 'Jump out of the program or function',
    pattern: /^jump out of range from insn (?<insn>\d+) to (?<to>-?\d+)/,
    text: 'A jump has to stay inside its function, and execution must not run past its end.',
    what: (f) =>
      `insn ${f.text('insn')} leads to ${f.text('to')}; the program has ${f.request.insns.length} slots.`,
    mend: [
      'Correct the offset: it counts slots from the next instruction, and LD_IMM64 takes two.',
      'Use a call to get into another function.',
    ],
    follow: nothing,
    locate: named,
  },
  {
    id: 'last-insn',
    title: 'Function that runs off its end',
    pattern: /^last insn is not an exit or jmp/,
    text: 'The last instruction of each function has to be exit or an unconditional jump.',
    what: () => 'A function ends with something else.',
    mend: [
      'End the function with exit.',
      'In C this happens when the compiler finds undefined behaviour (an endless loop, a missing return, an uninitialised value) and drops the rest of the function.',
    ],
    follow: nothing,
    locate: (f) =>
      lastSlots(f).find((slot) => ![0x95, 0x05, 0x06].includes(f.request.insns[slot]?.code ?? 0x95)),
  },
  {
    id: 'jump-into-ld-imm64',
    title: 'Jump into the middle of a wide instruction',
    pattern: /^jump into the middle of ldimm64 insn (?<insn>\d+)/,
    text: 'LD_IMM64 takes two slots; the second is no instruction of its own.',
    what: (f) => {
      const second = f.number('insn') + 1;
      const from = f.firstInsn((insn, slot) => jumpTarget(insn, slot) === second);
      return `${from === undefined ? 'A jump' : `insn ${from}`} leads to slot ${second}, the second half of the instruction at ${f.text('insn')}.`;
    },
    mend: ['Correct the jump offset by one slot.'],
    follow: nothing,
    locate: named,
  },
  {
    id: 'infinite-loop',
    title: 'Loop that may never end',
    pattern: /^infinite loop detected at insn (?<insn>\d+)/,
    text: 'A loop is walked through until it ends. When it comes back to an instruction with everything exactly as before, it would go on for ever.',
    what: (f) =>
      `The path is back at insn ${f.text('insn')} with the same state: nothing that the loop tests has changed.`,
    mend: [
      'Count with a variable that each round changes, up to a constant bound.',
      'Use bpf_loop, bpf_for or may_goto (cond_break) where the bound is not known.',
    ],
    arrives: true,
    locate: named,
    follow: (f) => f.loopTests(),
  },
  {
    id: 'back-edge',
    title: 'Loop where loops are not allowed',
    pattern: /^back-edge from insn (?<insn>\d+) to (?<to>\d+)/,
    text: 'Without privilege, and on kernels before 5.3, jumps may only go forward.',
    what: (f) => `insn ${f.text('insn')} jumps back to ${f.text('to')}.`,
    mend: ['Unroll the loop (#pragma unroll).'],
    follow: nothing,
    locate: named,
  },
  {
    id: 'call-target',
    title: 'Call of nothing',
    pattern: /^call to invalid destination/,
    text: 'A call of a function of the program has to lead to an instruction of it.',
    what: (f) => `The call leads outside the ${f.request.insns.length} slots of the program.`,
    mend: ['Link the functions before loading: the offset of a call is filled in by relocation.'],
    follow: nothing,
    locate: (f) =>
      f.firstInsn((insn, slot) => insn.code === 0x85 && insn.src === 1 && outside(f, slot + 1 + insn.imm)),
  },
];

const outside = (f: Finding, slot: number): boolean => slot < 0 || slot >= f.request.insns.length;

/** Last slots of the functions, as calls show them. */
function lastSlots(f: Finding): number[] {
  const { insns } = f.request;
  const ends = new Set([insns.length - 1]);
  insns.forEach((insn, slot) => {
    if (insn.code === 0x85 && insn.src === 1) ends.add(slot + insn.imm);
  });
  return [...ends].sort((a, b) => a - b);
}
