/**
 * Assembler for classic BPF in the syntax of the kernel's bpf_asm (Documentation/networking/filter.rst):
 * `ldh [12]`, `jeq #0x800, yes, no`, `ld M[3]`, `ldxb 4*([14]&0xf)`, labels, `;` comments. The inverse
 * of `classicListing`.
 */
import { Cursor, tokenize } from '../asm/lexer.js';
import { number, numberIn } from '../asm/operands.js';
import { AsmError } from '../errors.js';
import { ANCILLARY, type AncillaryName, SKF_AD_OFF } from './ancillary.js';
import type { SockFilter } from './insn.js';
import { CLASSIC_OPCODES, type ClassicRow } from './opcodes.js';

/** A place to be filled in with the distance to a label. */
interface Pending {
  readonly pc: number;
  readonly field: 'jt' | 'jf' | 'k';
  readonly label: string;
  readonly line: number;
  readonly column: number;
}

const LABEL = /^[ \t]*([A-Za-z_.$][A-Za-z0-9_.$]*):/;
const U32: readonly [bigint, bigint] = [-0x80000000n, 0xffffffffn];
/** Mnemonics that are another comparison with its targets exchanged. */
const EXCHANGED: Readonly<Record<string, string>> = { jne: 'jeq', jneq: 'jeq', jlt: 'jge', jle: 'jgt' };

/**
 * Assemble a classic program. What comes out is not checked: see `checkClassic`.
 * @throws AsmError with line and column: `ASM_SYNTAX`, `ASM_RANGE`, `ASM_LABEL`.
 */
export function assembleClassic(text: string): SockFilter[] {
  const filter: SockFilter[] = [];
  const labels = new Map<string, number>();
  const pending: Pending[] = [];
  text.split(/\r?\n/).forEach((whole, i) => {
    const body = whole.replace(/;.*$/, '');
    let at = 0;
    for (let found = LABEL.exec(body); found !== null; found = LABEL.exec(body.slice(at))) {
      const name = found[1]!;
      const column = at + found[0].indexOf(name) + 1;
      if (labels.has(name)) throw new AsmError('ASM_LABEL', `label ${name} is defined twice`, i + 1, column);
      labels.set(name, filter.length);
      at += found[0].length;
    }
    const cursor = new Cursor(tokenize(body, at, i + 1), body.length + 1, i + 1);
    if (cursor.done) return;
    const pc = filter.length;
    filter.push(
      statement(cursor, (field, label, column) => pending.push({ pc, field, label, line: i + 1, column })),
    );
    if (!cursor.done) cursor.fail(`expected the end of the line, found ${cursor.found()}`);
  });
  for (const place of pending) resolve(filter, labels, place);
  return filter;
}

function resolve(filter: SockFilter[], labels: ReadonlyMap<string, number>, place: Pending): void {
  const { pc, field, label, line, column } = place;
  const target = labels.get(label);
  if (target === undefined) throw new AsmError('ASM_LABEL', `label ${label} is not defined`, line, column);
  const skip = target - pc - 1;
  const max = field === 'k' ? 0xffffffff : 0xff;
  if (skip < 0 || skip > max) {
    const problem = `label ${label} is ${skip} instructions away: classic jumps go forward, by at most ${max}`;
    throw new AsmError('ASM_RANGE', problem, line, column);
  }
  filter[pc]![field] = skip;
}

type AddLabel = (field: Pending['field'], label: string, column: number) => void;

/** One statement; its operand decides between the rows of a mnemonic. */
function statement(c: Cursor, addLabel: AddLabel): SockFilter {
  const column = c.column;
  const mnemonic = c.take('word')?.text;
  if (mnemonic === undefined) c.fail(`expected a mnemonic, found ${c.found()}`);
  if (mnemonic === '.insn') return raw(c);
  const exchanged = EXCHANGED[mnemonic];
  const name =
    exchanged ??
    (mnemonic === 'ja' ? 'jmp' : mnemonic === 'ldx' && c.peek()?.text === '4' ? 'ldxb' : mnemonic);
  const rows = CLASSIC_OPCODES.filter((row) => row.mnemonic === name);
  const first = rows[0];
  if (first === undefined) c.fail(`unknown mnemonic ${JSON.stringify(mnemonic)}`, column);
  if (first.form === 'jump') return conditional(c, rows, exchanged !== undefined, addLabel);
  if (first.form === 'ja') {
    addLabel('k', ...label(c));
    return insn(first);
  }
  if (first.form === 'neg' || first.form === 'tax' || first.form === 'txa') return insn(first);
  return operand(c, rows);
}

function insn(row: ClassicRow, k = 0n): SockFilter {
  return { code: row.code, jt: 0, jf: 0, k: Number(BigInt.asUintN(32, k)) };
}

function raw(c: Cursor): SockFilter {
  const code = Number(numberIn(c, 'opcode', 0n, 0xffffn));
  c.expect(',');
  const jt = Number(numberIn(c, 'jt', 0n, 255n));
  c.expect(',');
  const jf = Number(numberIn(c, 'jf', 0n, 255n));
  c.expect(',');
  return { code, jt, jf, k: Number(BigInt.asUintN(32, numberIn(c, 'k', ...U32))) };
}

function label(c: Cursor): [string, number] {
  const column = c.column;
  const word = c.take('word');
  if (word === undefined) c.fail(`expected a label, found ${c.found()}`);
  return [word.text, column];
}

/** `jeq #5, yes, no`; without `no` it falls through. Exchanged comparisons go to `yes` when they do not hold. */
function conditional(
  c: Cursor,
  rows: readonly ClassicRow[],
  exchanged: boolean,
  addLabel: AddLabel,
): SockFilter {
  const jump = operand(c, rows);
  c.expect(',');
  addLabel(exchanged ? 'jf' : 'jt', ...label(c));
  if (c.accept(',')) addLabel(exchanged ? 'jt' : 'jf', ...label(c));
  return jump;
}

/** Parse the operand and build the row that takes it. */
function operand(c: Cursor, rows: readonly ClassicRow[]): SockFilter {
  const column = c.column;
  const [want, k] = operandKind(c);
  const row = rows.find((candidate) => kindOf(candidate) === want);
  if (row === undefined) c.fail(`${rows[0]!.mnemonic} does not take this operand`, column);
  return insn(row, k);
}

type Kind = 'imm' | 'x' | 'a' | 'len' | 'mem' | 'abs' | 'ind' | 'msh';

function operandKind(c: Cursor): [Kind, bigint] {
  if (c.accept('[')) return memory(c);
  if (c.peek()?.text === '4') return ['msh', headerLength(c)];
  if (c.accept('M')) {
    c.expect('[');
    const k = numberIn(c, 'scratch word', 0n, 0xffffffffn);
    c.expect(']');
    return ['mem', k];
  }
  const hash = c.accept('#');
  if (hash && c.peek()?.kind !== 'word') return ['imm', numberIn(c, 'operand', ...U32)];
  if (!hash) c.accept('%');
  const column = c.column;
  const word = c.take('word')?.text ?? '';
  if (word === 'len') return ['len', 0n];
  if (!hash && (word === 'x' || word === 'a')) return [word, 0n];
  const ancillary = ANCILLARY.indexOf(word as AncillaryName);
  if (ancillary < 0)
    c.fail('expected #number, x, a, M[n], [n], [x + n], 4*([n]&0xf) or an extension such as #proto', column);
  return ['abs', BigInt(SKF_AD_OFF + 4 * ancillary)];
}

/** `12]` or `x + 12]` after the opening bracket. */
function memory(c: Cursor): [Kind, bigint] {
  c.accept('%');
  const indirect = c.accept('x');
  let k = 0n;
  if (!indirect || c.peek()?.text !== ']') {
    if (indirect && c.peek()?.text === '+' && c.peek(1)?.text === '-') c.accept('+');
    k = numberIn(c, 'offset', ...U32);
  }
  c.expect(']');
  return [indirect ? 'ind' : 'abs', k];
}

/** `4*([14]&0xf)`. */
function headerLength(c: Cursor): bigint {
  for (const text of ['4', '*', '(', '[']) c.expect(text);
  const k = numberIn(c, 'offset', ...U32);
  for (const text of [']', '&']) c.expect(text);
  const column = c.column;
  if (number(c) !== 0xfn) c.fail('the header length is masked with 0xf', column);
  c.expect(')');
  return k;
}

function kindOf(row: ClassicRow): Kind | undefined {
  switch (row.form) {
    case 'alu':
    case 'jump':
      return row.operand === 'k' ? 'imm' : 'x';
    case 'ret':
      return row.operand === 'k' ? 'imm' : 'a';
    case 'imm':
    case 'len':
    case 'mem':
      return row.form;
    case 'st':
      return 'mem';
    case 'ld_abs':
      return 'abs';
    case 'ld_ind':
      return 'ind';
    case 'ldx_msh':
      return 'msh';
    default:
      return undefined;
  }
}
