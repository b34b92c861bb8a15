/**
 * Reserved fields and log text against a running kernel, run by hand:
 *
 *     npm run oracle:isa [-- PATH/kraw.py]
 *
 * Takes every instruction of the opcode table in a program that reaches it, changes one field at a time (and
 * two, at random but always the same), and compares what `bpf()` says with `checkStatic` … `checkOperands`, and the line that the log prints
 * for the instruction with the disassembler's. Loads programs only; needs root and says so where `bpf()` is refused.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { helperById } from '../../src/abi/helpers.js';
import * as isa from '../../src/isa/index.js';

interface Case {
  readonly what: string;
  readonly insns: isa.Insn[];
  readonly slot: number;
}

interface Answer {
  readonly verdict: string;
  readonly errno: number;
  readonly log: string;
}

/** Slots of nops behind the instruction, so that small jumps stay inside the program. */
const TAIL = 80;
/** Displacements of a function behind the tail: from a call, and from a two-slot `LD_IMM64`. */
const CALLEE = [TAIL + 1, TAIL + 2];
const OFFS = [0, 1, 2, 3, 8, 16, 32, 64];
const IMMS = [
  0, 1, 2, 5, 16, 31, 32, 33, 63, 64, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe0, 0xe1, 0xf0, 0xf1, 0x100,
  0x101, 0x110, 0x10000, -1, -0x80000000,
];

/** Every register holds a number, 16 bytes of stack are written, r6 is the context; the tail is reachable. */
function frame(insns: readonly isa.Insn[]): { readonly insns: isa.Insn[]; readonly slot: number } {
  const head: isa.Insn[] = [isa.makeInsn('mov64_reg', { dst: 6, src: 1 })];
  for (const dst of [0, 1, 2, 3, 4, 5, 7, 8, 9]) head.push(isa.makeInsn('mov64_imm', { dst, imm: 1 }));
  head.push(
    isa.makeInsn('stx64', { dst: 10, src: 1, off: -8 }),
    isa.makeInsn('stx64', { dst: 10, src: 1, off: -16 }),
  );
  head.push(isa.makeInsn('jeq64_imm', { dst: 1, off: insns.length, imm: 77 }));
  const tail: isa.Insn[] = new Array(TAIL).fill(isa.makeInsn('mov64_imm', { dst: 0, imm: 0 }));
  const last = [isa.makeInsn('exit')];
  const { code, src, imm } = insns[0]!;
  const calls =
    CALLEE.includes(imm) && ((code === 0x85 && src === 1) || (code === isa.LD_IMM64 && src === 4));
  if (calls)
    last.push(...new Array(2).fill(isa.makeInsn('mov64_imm', { dst: 0, imm: 0 })), isa.makeInsn('exit'));
  return { insns: [...head, ...insns, ...tail, ...last], slot: head.length };
}

/** A form of the instruction that passes, as far as one can be given without maps and BTF. */
function sample(row: isa.OpcodeRow): isa.Insn[] {
  const memory = row.off === 'mem';
  const baseIsSrc = row.form === 'ldx' || row.form === 'load_acquire';
  const numeric = typeof row.imm === 'string' && ['value', 'divisor', 'shift', 'skb'].includes(row.imm);
  const callee = row.name === 'call_local' || row.name === 'ld_imm64_func';
  const imm = callee ? CALLEE[row.form === 'call' ? 0 : 1]! : Number(numeric);
  const insn = isa.makeInsn(row, {
    dst: memory && !baseIsSrc ? 10 : 1,
    src: memory && baseIsSrc ? 10 : 2,
    off: memory ? -8 : row.off === 'jump' ? 1 : 0,
    imm: row.form === 'addr_space_cast' ? 1 : row.form === 'call' && row.kind === 'helper' ? 7 : imm,
  });
  const second: isa.Insn = { code: 0, dst: 0, src: 0, off: 0, imm: 0 };
  return row.form === 'ld_imm64' ? [insn, second] : [insn];
}

function cases(): Case[] {
  const found: Case[] = [];
  const add = (what: string, insns: isa.Insn[]): void => {
    found.push({ what, ...frame(insns) });
  };
  for (const row of isa.OPCODES) {
    const [first, ...rest] = sample(row) as [isa.Insn, ...isa.Insn[]];
    add(row.name, [first, ...rest]);
    for (let reg = 0; reg < 16; reg++) {
      add(`${row.name} dst ${reg}`, [{ ...first, dst: reg }, ...rest]);
      add(`${row.name} src ${reg}`, [{ ...first, src: reg }, ...rest]);
    }
    for (const off of OFFS) add(`${row.name} off ${off}`, [{ ...first, off }, ...rest]);
    for (const imm of IMMS) add(`${row.name} imm ${imm}`, [{ ...first, imm }, ...rest]);
    for (const second of rest) {
      const changes: Partial<isa.Insn>[] = [{ code: 0x07 }, { dst: 1 }, { src: 1 }, { off: 1 }, { imm: 1 }];
      for (const c of changes) add(`${row.name} next ${JSON.stringify(c)}`, [first, { ...second, ...c }]);
    }
  }
  for (let code = 0; code < 256; code++) add(`code ${code}`, [{ code, dst: 0, src: 0, off: 0, imm: 0 }]);
  return found;
}

/** Two fields changed at once: which complaint comes first? */
function pairs(count: number): Case[] {
  let seed = 12345;
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % n;
  };
  return Array.from({ length: count }, () => {
    const row = isa.OPCODES[below(isa.OPCODES.length)]!;
    const [first, ...rest] = sample(row) as [isa.Insn, ...isa.Insn[]];
    const changes: Partial<isa.Insn>[] = [
      { dst: below(13) },
      { src: below(13) },
      { off: OFFS[below(OFFS.length)]! },
      { imm: IMMS[below(IMMS.length)]! },
    ];
    const insn = { ...first, ...changes[below(4)], ...changes[below(4)] };
    return { what: `${row.name} ${JSON.stringify(insn)}`, ...frame([insn, ...rest]) };
  });
}

/** What we would say: the static pass over the program first, then the instruction itself. */
function predict({ insns, slot }: Case): string | undefined {
  for (let i = 0; i < insns.length; i += isa.insnSlots(insns[i]!)) {
    const problem = isa.checkStatic(insns, i);
    if (problem !== undefined) return problem;
  }
  const insn = insns[slot]!;
  // No arena is there: the kernel says so before it looks at registers.
  if (isa.findOpcode(insn)?.form === 'addr_space_cast') return isa.checkReserved(insn);
  return isa.checkInsn(insn);
}

const ENCODING =
  /uses reserved fields|unknown opcode|bpf_ld_imm64 insn|invalid atomic|uses invalid|invalid may_goto|div by zero|invalid shift|^R\d+ is invalid|frame pointer is read only|can only convert/;
/** Complaints about ids and targets that the programs here cannot supply; they come before the instruction's encoding. */
const NO_SUCH_ID =
  /btf_id|fd_idx without fd_array|is not a function|kfunc offset|invalid destination|jump out of range|last insn is not|valid bpf_map|stores into/;
const TAKES_ID = ['ld_imm64', 'call', 'gotol', 'atomic'];
/** Names of kernel functions differ between kernels; those of helpers begin with `bpf_` and end in a small number. */
const KFUNC_CALL = /call [a-z_0-9]*#\d+$/;
const INSN_LINE = /^\s*(\d+): [0-9.]{10} (.*)$/;

function firstError(log: string): string {
  const lines = log
    .split('\n')
    .filter((l) => !/^(processed|verification time|stack depth|func#|Live regs)/.test(l));
  return lines.find((l) => ENCODING.test(l)) ?? '';
}

/** The instruction's own line in the table of live registers, which the kernel prints before it simulates. */
function printed(log: string, slot: number): string | undefined {
  for (const line of log.split('\n')) {
    const match = INSN_LINE.exec(line);
    if (match !== null && Number(match[1]) === slot) return match[2];
  }
  return undefined;
}

function ask(kraw: string, all: readonly Case[]): Answer[] {
  const request = (c: Case): string => {
    const insns = Buffer.from(isa.encodeInsns(c.insns)).toString('hex');
    return JSON.stringify({ prog_type: 'socket_filter', insns, license: 'GPL', log_level: 2, maps: MAPS });
  };
  const input = `${all.map(request).join('\n')}\n`;
  const done = spawnSync('python3', [kraw, '--log', '60000'], {
    input,
    maxBuffer: 1 << 30,
    encoding: 'utf8',
  });
  const lines = done.stdout.trim().split('\n');
  if (done.status !== 0 || lines.length !== all.length)
    throw new Error(`kraw: ${done.stderr || done.error?.message}`);
  return lines.map((line) => JSON.parse(line) as Answer);
}

const helperName = (id: number): string | undefined => {
  const entry = id === 0 ? { name: 'unspec' } : helperById(id);
  return entry === undefined ? undefined : `bpf_${entry.name}`;
};

const MAPS = [{ type: 'array', key_size: 4, value_size: 8, max_entries: 1 }];

function sweep(kraw: string): void {
  const all = [...cases(), ...pairs(9000)];
  const answers = ask(kraw, all);
  if (answers.every((a) => a.errno === 1)) {
    console.log('isa-sweep: SKIPPED, bpf() is refused here (EPERM)');
    return;
  }
  const tally = { verdicts: 0, refused: 0, texts: 0, differ: 0 };
  all.forEach((c, i) => {
    const answer = answers[i]!;
    const ours = predict(c) ?? '';
    const theirs = firstError(answer.log);
    if (TAKES_ID.includes(isa.findOpcode(c.insns[c.slot]!)?.form ?? '') && NO_SUCH_ID.test(answer.log))
      return;
    tally.verdicts++;
    if (theirs !== '') tally.refused++;
    if (ours !== theirs)
      differ(tally, c, ours, theirs === '' ? answer.log.split('\n').slice(-9, -2).join('|') : theirs);
    const text = printed(answer.log, c.slot);
    if (text === undefined) return;
    const known = text.replace(KFUNC_CALL, 'call #');
    tally.texts++;
    const own = isa.disasmInsn(c.insns, c.slot, {
      dialect: 'kernel',
      literal: true,
      helperName,
      kfuncName: () => '',
    });
    if (own.replace(KFUNC_CALL, 'call #') !== known && !/^\(18\) r\d+ = 0x/.test(text))
      differ(tally, c, own, text);
  });
  console.log(
    `isa-sweep: ${tally.verdicts} programs, ${tally.refused} refused for their encoding, ` +
      `${tally.texts} log lines compared, ${tally.differ} differ`,
  );
  process.exitCode = tally.differ === 0 ? 0 : 1;
}

function differ(tally: { differ: number }, c: Case, ours: string, theirs: string): void {
  tally.differ++;
  if (tally.differ <= 60) console.log(`${c.what}\n  ours:   ${ours}\n  kernel: ${theirs}`);
}

const kraw = process.argv[2] ?? '../shared/oracle/kraw.py';
if (existsSync(kraw)) {
  sweep(kraw);
} else {
  console.log(`isa-sweep: SKIPPED, no ${kraw} here (give its path)`);
}
