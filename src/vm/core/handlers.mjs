/**
 * The core's handlers: for every operation its name and the AssemblyScript that carries it out. Names
 * are those of the opcode table (`src/isa/opcodes.ts`), so the translator finds an operation by its row;
 * `_back` marks jumps that do not lead forward, which is where fuel is looked at. `build.mjs` numbers
 * them and puts them into the one `switch` of `loop.ts`.
 *
 * In a handler: `pc` is the cell's address, `b` the budget, `D`/`S` byte offsets of the registers,
 * `OFF` and `IMM` the cell's fields.
 */

const D = 'load<u8>(pc, 2)';
const S = 'load<u8>(pc, 3)';
export const reg64 = (r) => `load<i64>(<usize>${r}, HOT_REGS)`;
export const reg32 = (r, type = 'i32') => `load<${type}>(<usize>${r}, HOT_REGS)`;
const set = (value, r = D) => `store<i64>(<usize>${r}, ${value}, HOT_REGS);`;
const set32 = (value) => set(`<i64><u64><u32>(${value})`);
const OFF = 'load<i32>(pc, 4)';
const IMM = 'load<i64>(pc, 8)';
const IMM32 = 'load<i32>(pc, 8)';
const NEXT = 'pc += CELL; continue;';

/** Operations of two operands, by width: an expression of `x` and `y`. */
const ALU64 = {
  add: 'x + y',
  sub: 'x - y',
  mul: 'x * y',
  div: 'y == 0 ? 0 : <i64>(<u64>x / <u64>y)',
  sdiv: 'sdiv64(x, y)',
  or: 'x | y',
  and: 'x & y',
  lsh: 'x << y',
  rsh: '<i64>(<u64>x >> <u64>y)',
  mod: 'y == 0 ? x : <i64>(<u64>x % <u64>y)',
  smod: 'smod64(x, y)',
  xor: 'x ^ y',
  mov: 'y',
  arsh: 'x >> y',
};
/**
 * Of unsigned operands: the optimiser turns a zero-extended signed 32-bit load into a sign-extending one
 * (seen in the compiler's release 0.28), so what is to be zero-extended must be loaded unsigned.
 */
const ALU32 = {
  ...ALU64,
  div: 'y == 0 ? 0 : x / y',
  sdiv: 'sdiv32(x, y)',
  rsh: 'x >> y',
  mod: 'y == 0 ? x : x % y',
  smod: 'smod32(x, y)',
  arsh: '<i32>x >> y',
};
const JUMPS = {
  jeq: 'x == y',
  jgt: '<U>x > <U>y',
  jge: '<U>x >= <U>y',
  jset: '(x & y) != 0',
  jne: 'x != y',
  jsgt: 'x > y',
  jsge: 'x >= y',
  jlt: '<U>x < <U>y',
  jle: '<U>x <= <U>y',
  jslt: 'x < y',
  jsle: 'x <= y',
};

/** @type {[string, string][]} */
const handlers = [];
const op = (name, body) => handlers.push([name, body]);

function operands(type, operand) {
  const reg = type === 'i64' ? reg64 : (r) => reg32(r, type);
  const y = operand === 'reg' ? reg(S) : `load<${type}>(pc, 8)`;
  return `const x: ${type} = ${reg(D)}; const y: ${type} = ${y};`;
}

for (const width of [32, 64]) {
  for (const [name, expression] of Object.entries(width === 64 ? ALU64 : ALU32)) {
    const write = width === 64 ? set(expression) : set32(expression);
    for (const operand of ['imm', 'reg']) {
      op(`${name}${width}_${operand}`, `${operands(width === 64 ? 'i64' : 'u32', operand)} ${write} ${NEXT}`);
    }
  }
  const reg = width === 64 ? reg64 : reg32;
  op(`neg${width}`, `${width === 64 ? set(`-${reg(D)}`) : set32(`-${reg(D)}`)} ${NEXT}`);
  for (const from of [8, 16, 32]) {
    if (from === width) continue;
    const value = `<i${width}>load<i${from}>(<usize>${S}, HOT_REGS)`;
    op(`movsx${from}_${width}`, `${width === 64 ? set(value) : set32(value)} ${NEXT}`);
  }
}

for (const width of [16, 32, 64]) {
  const low = `load<u${width}>(<usize>${D}, HOT_REGS)`;
  op(`le${width}`, width === 64 ? NEXT : `${set(`<i64><u64>${low}`)} ${NEXT}`);
  op(`be${width}`, `${set(`<i64><u64>bswap<u${width}>(${low})`)} ${NEXT}`);
  op(`bswap${width}`, `${set(`<i64><u64>bswap<u${width}>(${low})`)} ${NEXT}`);
}
op('addr_space_cast', `${set(`<i64><u64><u32>${reg32(S)}`)} ${NEXT}`);

/** Jumps. The displacement counts from the cell itself; the budget moves with `pc`. */
export const TAKE = `{ const d = ${OFF}; pc += d; b += d - CELL; }`;
const TAKE_BACK = `{ const d = ${OFF}; pc += d; b += d - CELL; if (<i32>pc >= b) return stop(pc, b, STOP_FUEL); }`;
for (const width of [64, 32]) {
  for (const [name, condition] of Object.entries(JUMPS)) {
    for (const operand of ['imm', 'reg']) {
      const test = condition.replaceAll('<U>', `<u${width}>`);
      const head = operands(`i${width}`, operand);
      op(`${name}${width}_${operand}`, `${head} if (${test}) ${TAKE} else pc += CELL; continue;`);
      op(`${name}${width}_${operand}_back`, `${head} if (${test}) ${TAKE_BACK} else pc += CELL; continue;`);
    }
  }
}
op('ja', `${TAKE} continue;`);
op('ja_back', `${TAKE_BACK} continue;`);
op(
  'may_goto',
  `const n = load<i32>(HOT_MAY_GOTO); if (n == 0) ${TAKE_BACK} else { store<i32>(HOT_MAY_GOTO, n - 1); pc += CELL; } continue;`,
);

/** Memory. `CHECK` leaves the core with a fault unless the access is allowed. */
const check = (bytes, store) =>
  `if (forbidden<C>(a, ${bytes}, ${store})) return fault(pc, b, a, ${bytes}, ${store});`;
const address = (r) => `const a: i64 = ${reg64(r)} + <i64>${OFF};`;
for (const width of [8, 16, 32, 64]) {
  const bytes = width / 8;
  const load = (sign) => `load<${sign}${width}>(<usize>a)`;
  const loadAs = (sign) => (sign === 'u' ? `<i64><u64>${load('u')}` : `<i64>${load('i')}`);
  for (const sign of width === 64 ? ['u'] : ['u', 's']) {
    const value = loadAs(sign === 's' ? 'i' : 'u');
    op(`ldx_${sign}${width}`, `${address(S)} ${check(bytes, 0)} ${set(value)} ${NEXT}`);
    // Reads of kernel memory through typed pointers give 0 where there is none (Linux: BPF_PROBE_MEM).
    const probed = `forbidden<C>(a, ${bytes}, 0) ? 0 : ${value}`;
    op(`probe_ldx_${sign}${width}`, `${address(S)} ${set(probed)} ${NEXT}`);
  }
  const st = width === 64 ? IMM : `load<u${width}>(pc, 8)`;
  op(`st${width}`, `${address(D)} ${check(bytes, 1)} store<i${width}>(<usize>a, ${st}); ${NEXT}`);
  const stx = `load<i${width}>(<usize>${S}, HOT_REGS)`;
  op(`stx${width}`, `${address(D)} ${check(bytes, 1)} store<i${width}>(<usize>a, ${stx}); ${NEXT}`);
  op(`load_acquire${width}`, `${address(S)} ${check(bytes, 0)} ${set(loadAs('u'))} ${NEXT}`);
  op(`store_release${width}`, `${address(D)} ${check(bytes, 1)} store<i${width}>(<usize>a, ${stx}); ${NEXT}`);
}

/**
 * Accesses to the current frame through r10, which programs cannot change: the translator has seen that
 * they lie within its 512 bytes, so nothing is left to check.
 */
const stackAddress = `const a: usize = <usize>(load<i32>(HOT_REGS, 80) + ${OFF});`;
for (const width of [8, 16, 32, 64]) {
  op(`ldx_stack${width}`, `${stackAddress} ${set(`<i64><u64>load<u${width}>(a)`)} ${NEXT}`);
  const stx = `load<i${width}>(<usize>${S}, HOT_REGS)`;
  op(`stx_stack${width}`, `${stackAddress} store<i${width}>(a, ${stx}); ${NEXT}`);
  const st = width === 64 ? IMM : `load<u${width}>(pc, 8)`;
  op(`st_stack${width}`, `${stackAddress} store<i${width}>(a, ${st}); ${NEXT}`);
}

/** Atomics: nothing else runs between the load and the store. */
for (const width of [32, 64]) {
  const type = `u${width}`;
  const head = `${address(D)} ${check(width / 8, 1)} const old = load<${type}>(<usize>a);`;
  const source = `load<${type}>(<usize>${S}, HOT_REGS)`;
  for (const [name, sign] of Object.entries({ add: '+', or: '|', and: '&', xor: '^' })) {
    const update = `store<${type}>(<usize>a, old ${sign} ${source});`;
    op(`atomic_${name}${width}`, `${head} ${update} ${NEXT}`);
    op(`atomic_fetch_${name}${width}`, `${head} ${update} ${set('<i64><u64>old', S)} ${NEXT}`);
  }
  op(
    `atomic_xchg${width}`,
    `${head} store<${type}>(<usize>a, ${source}); ${set('<i64><u64>old', S)} ${NEXT}`,
  );
  op(
    `atomic_cmpxchg${width}`,
    `${head} if (old == load<${type}>(HOT_REGS)) store<${type}>(<usize>a, ${source}); ${set('<i64><u64>old', '0')} ${NEXT}`,
  );
}
op('ld_imm64', `${set(IMM)} ${NEXT}`);

/** Legacy packet loads: network byte order into r0; out of bounds ends the program with 0. */
for (const form of ['abs', 'ind']) {
  for (const width of [8, 16, 32]) {
    const where = form === 'abs' ? IMM32 : `${IMM32} + ${reg32(S)}`;
    const value = `<i64><u64>bswap<u${width}>(load<u${width}>(<usize>p))`;
    op(
      `ld_${form}${width}`,
      `const p = packetPointer(${where}, ${width / 8}); if (p != 0) { ${set(value, '0')} ${NEXT} }
       ${set('0', '0')} const s = returnFrom<C>(pc, b); if (s >= 0) return s; pc = load<i32>(HOT_PC); b = load<i32>(HOT_BUDGET); continue;`,
    );
  }
}

/** Calls. `OFF` of a local call is a displacement; of helper calls the host's index is the immediate. */
const RESUME = 'pc = load<i32>(HOT_PC); b = load<i32>(HOT_BUDGET); continue;';
op('call_local', `const s = enter<C>(pc, b); if (s >= 0) return s; ${RESUME}`);
op('call_plain', `if (callPlain(pc + CELL, b, ${IMM32})) return STOP_HELPER; ${NEXT}`);
op('call_loop', `const s = callLoop<C>(pc, b, ${IMM32}); if (s >= 0) return s; ${RESUME}`);
/** Look-ups of indexed elements; what the core cannot tell is the plain helper's. */
export const callIndexed = (pc, index) =>
  `const e = element<C>(); if (e != -1) store<i64>(HOT_REGS, e); else if (callPlain(${pc}, b, ${index})) return STOP_HELPER;`;
op('call_indexed', `${callIndexed('pc + CELL', IMM32)} ${NEXT}`);
op('call_flow', `store<i32>(HOT_CALLEE, ${IMM32}); return stop(pc + CELL, b, STOP_FLOW);`);
op('call_const', `${set(IMM, '0')} ${NEXT}`);
op('call_slot32', `${set(`<i64>load<u32>(<usize>${IMM32})`, '0')} ${NEXT}`);
op('call_slot64', `${set(`load<i64>(<usize>${IMM32})`, '0')} ${NEXT}`);
op('call_tail', `const s = tailCall(pc, b); if (s >= 0) return s; ${RESUME}`);
op('callx', `store<i32>(HOT_CALLEE, load<u8>(pc, 2) >> 3); return stop(pc + CELL, b, STOP_CALL);`);
op('exit', `const s = returnFrom<C>(pc, b); if (s >= 0) return s; ${RESUME}`);
/** Follows the last instruction, so that falling off the end is a fault like any other. */
op('end', 'return stop(pc, b, STOP_END);');

export { handlers };
