/**
 * Super-instructions: one handler for two or three instructions that often follow each other. A fused
 * cell stands where its first instruction stood and reads the cells behind it, which stay as they are, so
 * that jumps into the middle need no care and instruction counts stay exact.
 *
 * Kinds (which instructions fit together; `src/vm/fuse.ts` decides by the same names):
 * `chain`: arithmetic on one register, the value stays in a local; `tail`: the same, and then a conditional
 * jump on that register, or `ja`; `pair`: two that need have nothing in common (the first may be a jump that is not taken); `use`: a load, and
 * arithmetic that takes the loaded register as source; `test`: a load, and a jump on what it loaded; `loop`: any, and
 * then a counter and a jump on it.
 * In `chain`, `tail`, `pair` and `use` arithmetic with register and immediate operands share a handler: the
 * cell holds the operand's address.
 */

import { callIndexed } from './handlers.mjs';

const OPS = {
  mov: 'y',
  add: 'x + y',
  sub: 'x - y',
  mul: 'x * y',
  and: 'x & y',
  or: 'x | y',
  xor: 'x ^ y',
  lsh: 'x << y',
  rsh: 'x >> y',
  arsh: 'x >> y',
};
const NOT_MOV = Object.keys(OPS).filter((name) => name !== 'mov');
const CONDITIONS = {
  jeq: 'x == y',
  jne: 'x != y',
  jgt: '<U>x > <U>y',
  jge: '<U>x >= <U>y',
  jlt: '<U>x < <U>y',
  jle: '<U>x <= <U>y',
  jset: '(x & y) != 0',
  jsgt: '<I>x > <I>y',
  jsge: '<I>x >= <I>y',
  jslt: '<I>x < <I>y',
  jsle: '<I>x <= <I>y',
};

const at = (k, field) => 16 * k + field;
const D = (k) => `<usize>load<u8>(pc, ${at(k, 2)})`;
const S = (k) => `<usize>load<u8>(pc, ${at(k, 3)})`;
const done = (n) => `pc += ${16 * n}; continue;`;

/** Fused handlers: [kind, canonical names joined by spaces, body]. */
export const fusions = [];
const fuse = (kind, names, body) => fusions.push([kind, names.join(' '), body]);

/** Value of `x op y` at `width`; 32-bit values are unsigned. */
function compute(op, width, x, y) {
  const signed = op === 'arsh';
  const type = width === 64 ? (op === 'rsh' ? 'u64' : 'i64') : signed ? 'i32' : 'u32';
  const text = OPS[op].replace('x', `<${type}>${x}`).replace('y', `<${type}>${y}`);
  return width === 64 ? `<i64>(${text})` : `<u32>(${text})`;
}

const typeOf = (width) => (width === 64 ? 'i64' : 'u32');
const operand = (k, width) => `load<${typeOf(width)}>(<usize>load<u32>(pc, ${at(k, 4)}))`;
const register = (r, width) => `load<${typeOf(width)}>(${r}, HOT_REGS)`;
const write = (r, width, value) =>
  `store<i64>(${r}, ${width === 64 ? value : `<i64><u64>${value}`}, HOT_REGS);`;

/** Arithmetic of cells 0 to n−1 on one register: leaves its value in `v`, its offset in `d`. */
function chainHead(ops, width) {
  const type = typeOf(width);
  let text = `const d = ${D(0)};`;
  let x = ops[0] === 'mov' ? '' : register('d', width);
  ops.forEach((op, k) => {
    text += ` const v${k}: ${type} = ${compute(op, width, x, operand(k, width))};`;
    x = `v${k}`;
  });
  return `${text} ${write('d', width, x)}`;
}

/** Goes where the jump in cell k leads. */
const take = (k) =>
  `{ const j = load<i32>(pc, ${at(k, 4)}); pc += j + ${16 * k}; b += j - CELL; if (<i32>pc >= b) return stop(pc, b, STOP_FUEL); continue; }`;

/** Conditional jump in cell k that compares `x` with its own operand. */
function jump(k, name, width, form, x) {
  const y = form === 'reg' ? `load<i${width}>(${S(k)}, HOT_REGS)` : `load<i${width}>(pc, ${at(k, 8)})`;
  const test = CONDITIONS[name]
    .replaceAll('<U>', `<u${width}>`)
    .replaceAll('<I>', `<i${width}>`)
    .replaceAll('x', `<i${width}>${x}`)
    .replaceAll('y', y);
  return `if (${test}) ${take(k)} ${done(k + 1)}`;
}

/** Threes and pairs, since the value's way through memory costs most where arithmetic waits for arithmetic. */
for (const a of Object.keys(OPS)) {
  for (const b of NOT_MOV) fuse('chain', [`${a}64`, `${b}64`], `${chainHead([a, b], 64)} ${done(2)}`);
}
for (const a of ['mov', 'add', 'and', 'or', 'lsh', 'rsh', 'xor']) {
  for (const b of ['add', 'and', 'or', 'lsh', 'rsh']) {
    fuse('chain', [`${a}32`, `${b}32`], `${chainHead([a, b], 32)} ${done(2)}`);
  }
}
for (const a of ['mov', 'add']) {
  for (const b of ['add', 'mul', 'lsh', 'rsh']) {
    for (const c of ['add', 'xor', 'and']) {
      fuse('chain', [`${a}64`, `${b}64`, `${c}64`], `${chainHead([a, b, c], 64)} ${done(3)}`);
    }
  }
}
const TAILS = ['jeq64_imm', 'jne64_imm', 'jgt64_imm', 'jlt64_imm', 'jne64_reg', 'jlt64_reg', 'ja'];
const tail = (ops, width, name) => {
  const last = ops.length;
  const [condition, form] = name.split(/\d\d_/);
  const body = name === 'ja' ? take(last) : jump(last, condition, width, form, `v${last - 1}`);
  fuse('tail', [...ops.map((op) => `${op}${width}`), name], `${chainHead(ops, width)} ${body}`);
};
for (const name of TAILS) {
  for (const a of ['mov', 'add', 'sub', 'and', 'rsh', 'xor']) tail([a], 64, name);
}
for (const name of ['jeq32_imm', 'jne32_imm', 'jgt32_imm', 'jlt32_imm']) {
  for (const a of ['mov', 'add', 'and']) tail([a], 32, name);
}
for (const name of ['jeq64_imm', 'jne64_imm', 'jlt64_imm', 'ja']) {
  for (const a of ['mov', 'add', 'mul']) {
    for (const b of ['add', 'and', 'rsh']) tail([a, b], 64, name);
  }
}

/** The end of a packet against a pointer that was moved just before. */
for (const ops of [['mov', 'add'], ['add'], ['mov']]) tail(ops, 64, 'jgt64_reg');

/** Arithmetic of cell k on its own. */
function alone(op, k, width = 64) {
  const x = op === 'mov' ? '' : register(`d${k}`, width);
  return `const d${k} = ${D(k)}; ${write(`d${k}`, width, compute(op, width, x, operand(k, width)))}`;
}
const COMMON = Object.keys(OPS).filter((name) => name !== 'arsh');
for (const a of COMMON) {
  for (const b of COMMON) fuse('pair', [`${a}64`, `${b}64`], `${alone(a, 0)} ${alone(b, 1)} ${done(2)}`);
}
/** The end of a counted loop, with the last instruction of its body. */
for (const a of ['mov', 'add', 'mul', 'xor']) {
  for (const b of ['add', 'sub']) {
    for (const name of ['jne64_imm', 'jgt64_imm', 'jne64_reg', 'jlt64_reg']) {
      const [condition, form] = name.split('64_');
      const count = `const d1 = ${D(1)}; const v1: i64 = ${compute(b, 64, register('d1', 64), operand(1, 64))}; ${write('d1', 64, 'v1')}`;
      fuse(
        'loop',
        [`${a}64`, `${b}64`, name],
        `${alone(a, 0)} ${count} ${jump(2, condition, 64, form, 'v1')}`,
      );
    }
  }
}
/** A conditional jump, and what follows where it is not taken. */
for (const width of [64, 32]) {
  for (const c of ['jeq', 'jne', 'jgt', 'jlt']) {
    const x = `load<i${width}>(${D(0)}, HOT_REGS)`;
    const test = jump(0, c, width, 'imm', x).replace(done(1), '');
    for (const op of ['mov', 'add'])
      fuse('pair', [`${c}${width}_imm`, `${op}64`], `${test} ${alone(op, 1)} ${done(2)}`);
  }
}

/** Memory in cell k. */
const check = (k, bytes, store) =>
  `if (forbidden<C>(a${k}, ${bytes}, ${store})) return fault(pc + ${16 * k}, b, a${k}, ${bytes}, ${store});`;
const address = (k, r) => `const a${k}: i64 = load<i64>(${r}, HOT_REGS) + <i64>load<i32>(pc, ${at(k, 4)});`;
const loadCell = (k, width) =>
  `${address(k, S(k))} ${check(k, width / 8, 0)} const v${k}: i64 = <i64><u64>load<u${width}>(<usize>a${k}); store<i64>(${D(k)}, v${k}, HOT_REGS);`;
const storeCell = (k, width) =>
  `${address(k, D(k))} ${check(k, width / 8, 1)} store<i${width}>(<usize>a${k}, load<i${width}>(${S(k)}, HOT_REGS));`;
const WIDTHS = [8, 16, 32, 64];

/** Frame accesses need no check, see `handlers.mjs`. */
const frame = (k) => `const a${k}: usize = <usize>(load<i32>(HOT_REGS, 80) + load<i32>(pc, ${at(k, 4)}));`;
const loadFrame = (k, width) =>
  `${frame(k)} const v${k}: i64 = <i64><u64>load<u${width}>(a${k}); store<i64>(${D(k)}, v${k}, HOT_REGS);`;
const storeFrame = (k, width) => `${frame(k)} store<i${width}>(a${k}, load<i${width}>(${S(k)}, HOT_REGS));`;

for (const first of WIDTHS) {
  for (const second of WIDTHS) {
    fuse(
      'pair',
      [`ldx_u${first}`, `ldx_u${second}`],
      `${loadCell(0, first)} ${loadCell(1, second)} ${done(2)}`,
    );
    fuse(
      'pair',
      [`stx${first}`, `stx${second}`],
      `${storeCell(0, first)} ${storeCell(1, second)} ${done(2)}`,
    );
  }
  fuse('pair', [`ldx_u${first}`, `stx${first}`], `${loadCell(0, first)} ${storeCell(1, first)} ${done(2)}`);
  for (const op of ['add', 'or', 'xor']) {
    const result = compute(op, 64, register('d1', 64), 'v0');
    const use = `const d1 = ${D(1)}; ${write('d1', 64, result)} ${done(2)}`;
    fuse('use', [`ldx_u${first}`, `${op}64`], `${loadCell(0, first)} ${use}`);
    fuse('use', [`ldx_stack${first}`, `${op}64`], `${loadFrame(0, first)} ${use}`);
  }
  for (const op of ['mov', 'add', 'and', 'lsh']) {
    fuse('pair', [`ldx_u${first}`, `${op}64`], `${loadCell(0, first)} ${alone(op, 1)} ${done(2)}`);
  }
  for (const op of ['mov', 'add']) {
    fuse('pair', [`${op}64`, `ldx_u${first}`], `${alone(op, 0)} ${loadCell(1, first)} ${done(2)}`);
    fuse('pair', [`${op}64`, `stx${first}`], `${alone(op, 0)} ${storeCell(1, first)} ${done(2)}`);
    fuse('pair', [`stx${first}`, `${op}64`], `${storeCell(0, first)} ${alone(op, 1)} ${done(2)}`);
    fuse('pair', [`stx_stack${first}`, `${op}64`], `${storeFrame(0, first)} ${alone(op, 1)} ${done(2)}`);
    fuse('pair', [`${op}64`, `stx_stack${first}`], `${alone(op, 0)} ${storeFrame(1, first)} ${done(2)}`);
    fuse('pair', [`ldx_stack${first}`, `${op}64`], `${loadFrame(0, first)} ${alone(op, 1)} ${done(2)}`);
  }
  for (const width of [64, 32]) {
    for (const c of ['jeq', 'jne', 'jgt', 'jlt']) {
      fuse(
        'test',
        [`ldx_u${first}`, `${c}${width}_imm`],
        `${loadCell(0, first)} ${jump(1, c, width, 'imm', 'v0')}`,
      );
    }
  }
  for (const second of WIDTHS) {
    fuse(
      'pair',
      [`stx_stack${first}`, `stx_stack${second}`],
      `${storeFrame(0, first)} ${storeFrame(1, second)} ${done(2)}`,
    );
  }
  fuse(
    'pair',
    [`stx_stack${first}`, `ldx_stack${first}`],
    `${storeFrame(0, first)} ${loadFrame(1, first)} ${done(2)}`,
  );
  fuse(
    'pair',
    [`ldx_stack${first}`, `ldx_stack${first}`],
    `${loadFrame(0, first)} ${loadFrame(1, first)} ${done(2)}`,
  );
  fuse(
    'pair',
    [`ldx_stack${first}`, `stx_stack${first}`],
    `${loadFrame(0, first)} ${storeFrame(1, first)} ${done(2)}`,
  );
  for (const op of ['mov', 'add', 'xor']) {
    const both = `${storeFrame(0, first)} ${loadFrame(1, first)}`;
    fuse('pair', [`stx_stack${first}`, `ldx_stack${first}`, `${op}64`], `${both} ${alone(op, 2)} ${done(3)}`);
  }
}

/**
 * What compilers make of C for 32-bit registers (cpu v3): runs of tests that are not taken, with the load or move behind
 * them; moves before a jump, a store or the end.
 */
const ALU32 = ['mov', 'and', 'or', 'lsh'];
const TESTS = ['jeq32_imm', 'jne32_imm', 'jgt32_imm', 'jsgt32_imm', 'jeq64_imm', 'jne64_imm', 'jgt64_reg'];
/** Jump in cell k on registers that lie in memory; goes on when it is not taken. */
const passed = (k, name) => {
  const [, condition, width, form] = /^(\D+)(\d+)_(\w+)$/.exec(name);
  return jump(k, condition, Number(width), form, `load<i${width}>(${D(k)}, HOT_REGS)`).replace(
    done(k + 1),
    '',
  );
};
for (const first of TESTS) {
  for (const second of TESTS.slice(0, -1)) {
    fuse('pair', [first, second], `${passed(0, first)} ${passed(1, second)} ${done(2)}`);
  }
  fuse('pair', [first, 'ja'], `${passed(0, first)} ${take(1)}`);
  fuse('pair', [first, 'mov32'], `${passed(0, first)} ${alone('mov', 1, 32)} ${done(2)}`);
}
for (const width of WIDTHS) {
  for (const first of ['jeq32_imm', 'jne32_imm', 'jeq64_imm', 'jgt64_reg']) {
    fuse('pair', [first, `ldx_u${width}`], `${passed(0, first)} ${loadCell(1, width)} ${done(2)}`);
  }
  for (const op of ['mov', 'and', 'lsh']) {
    fuse('pair', [`ldx_u${width}`, `${op}32`], `${loadCell(0, width)} ${alone(op, 1, 32)} ${done(2)}`);
  }
  fuse(
    'pair',
    [`ldx_u${width}`, `stx_stack${width}`],
    `${loadCell(0, width)} ${storeFrame(1, width)} ${done(2)}`,
  );
  fuse('pair', ['mov32', `stx_stack${width}`], `${alone('mov', 0, 32)} ${storeFrame(1, width)} ${done(2)}`);
  fuse('pair', ['mov32', `ldx_u${width}`], `${alone('mov', 0, 32)} ${loadCell(1, width)} ${done(2)}`);
}
for (const a of ALU32) {
  for (const b of ALU32)
    fuse('pair', [`${a}32`, `${b}32`], `${alone(a, 0, 32)} ${alone(b, 1, 32)} ${done(2)}`);
}
for (const op of ['mov', 'add']) {
  fuse('pair', ['mov32', `${op}64`], `${alone('mov', 0, 32)} ${alone(op, 1)} ${done(2)}`);
  fuse('pair', [`${op}64`, 'mov32'], `${alone(op, 0)} ${alone('mov', 1, 32)} ${done(2)}`);
}
for (const name of TESTS) {
  fuse('pair', ['mov32', name], `${alone('mov', 0, 32)} ${passed(1, name)} ${done(2)}`);
}
fuse('pair', ['mov32', 'ja'], `${alone('mov', 0, 32)} ${take(1)}`);
fuse(
  'pair',
  ['mov32', 'exit'],
  `${alone('mov', 0, 32)} const s = returnFrom<C>(pc + 16, b); if (s >= 0) return s; pc = load<i32>(HOT_PC); b = load<i32>(HOT_BUDGET); continue;`,
);
fuse(
  'pair',
  ['ld_imm64', 'mov64'],
  `store<i64>(${D(0)}, load<i64>(pc, 8), HOT_REGS); ${alone('mov', 1)} ${done(2)}`,
);

/** Calls of plain helpers, with the moves that surround them. */
const call = (k) => `if (callPlain(pc + ${16 * (k + 1)}, b, load<i32>(pc, ${at(k, 8)}))) return STOP_HELPER;`;
const indexed = (k) => callIndexed(`pc + ${16 * (k + 1)}`, `load<i32>(pc, ${at(k, 8)})`);
fuse('pair', ['mov64', 'call_plain'], `${alone('mov', 0)} ${call(1)} ${done(2)}`);
fuse(
  'pair',
  ['ld_imm64', 'call_plain'],
  `store<i64>(${D(0)}, load<i64>(pc, 8), HOT_REGS); ${call(1)} ${done(2)}`,
);
fuse('pair', ['mov64', 'call_plain', 'mov64'], `${alone('mov', 0)} ${call(1)} ${alone('mov', 2)} ${done(3)}`);
fuse('pair', ['call_plain', 'mov64'], `${call(0)} ${alone('mov', 1)} ${done(2)}`);
/** Look-ups, whose key's address is computed just before and whose result is tested just after. */
fuse('pair', ['add64', 'call_indexed'], `${alone('add', 0)} ${indexed(1)} ${done(2)}`);
fuse(
  'pair',
  ['ld_imm64', 'call_indexed'],
  `store<i64>(${D(0)}, load<i64>(pc, 8), HOT_REGS); ${indexed(1)} ${done(2)}`,
);
fuse('pair', ['call_indexed', 'mov64'], `${indexed(0)} ${alone('mov', 1)} ${done(2)}`);
/** Helpers that are a word of memory, with what usually becomes of the result. */
for (const width of [32, 64]) {
  const word = `load<${width === 64 ? 'i64' : 'u32'}>(<usize>load<u32>(pc, 8))`;
  const slot = (k) => `store<i64>(HOT_REGS, <i64>${word.replace('(pc, 8)', `(pc, ${at(k, 8)})`)});`;
  fuse('pair', [`call_slot${width}`, 'mov64'], `${slot(0)} ${alone('mov', 1)} ${done(2)}`);
  fuse(
    'pair',
    ['mov64', `call_slot${width}`, 'mov64'],
    `${alone('mov', 0)} ${slot(1)} ${alone('mov', 2)} ${done(3)}`,
  );
  fuse('pair', [`call_slot${width}`, `stx_stack${width}`], `${slot(0)} ${storeFrame(1, width)} ${done(2)}`);
}
