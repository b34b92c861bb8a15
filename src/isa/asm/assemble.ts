/**
 * Assembler: text in either dialect of the disassembler back to instructions. Lines hold one statement
 * each, after any number of `label:`; comments run from `;`, `//` or a leading `#` to the end of the
 * line. Whole lines of `llvm-objdump -d` (slot, bytes, `<name>`) and of the verifier's log (slot,
 * opcode, `; state`) are read too: their slot must be the next one, their bytes are passed over.
 */
import { AsmError } from '../errors.js';
import type { Insn } from '../insn.js';
import { Cursor, tokenize } from './lexer.js';
import { type Fixup, type StatementOptions, statement } from './statement.js';

export interface AsmOptions {
  /** Number of a helper by name, so that `call bpf_map_lookup_elem` can be written without `#1`. */
  readonly helperId?: (name: string) => number | undefined;
}

export interface Assembly {
  readonly insns: Insn[];
  /** Slot of every label. */
  readonly labels: ReadonlyMap<string, number>;
  /** Line of the text, from 1, that each slot comes from. */
  readonly lines: readonly number[];
}

interface Pending extends Fixup {
  readonly slot: number;
  readonly line: number;
}

const SLOT = /^[ \t]*(\d+):[ \t]+/;
const BYTES = /^(?:[0-9a-f]{2} ){7}[0-9a-f]{2}(?: (?:[0-9a-f]{2} ){7}[0-9a-f]{2})?[ \t]+/;
const CODE = /^[ \t]*\(([0-9a-f]{2})\)[ \t]*/;
const LABEL = /^[ \t]*([A-Za-z_.$][A-Za-z0-9_.$]*):/;
/** `0000000000000010 <name>:` of llvm-objdump. */
const SYMBOL_LINE = /^[0-9a-f]{16} <([^<>]+)>:[ \t]*$/;
/** What llvm-objdump appends to jumps. */
const TARGET_NAME = /[ \t]<[^<>]*>[ \t]*$/;
const COMMENT = /(?:;|\/\/|^[ \t]*#).*$/;

/**
 * Assemble `text` to instructions.
 * @throws AsmError with line and column: `ASM_SYNTAX`, `ASM_RANGE`, `ASM_LABEL`, `ASM_OPCODE`, `ASM_SLOT`.
 */
export function assemble(text: string, options: AsmOptions = {}): Insn[] {
  return assembleProgram(text, options).insns;
}

/** As `assemble`, with the labels and the source line of every slot. */
export function assembleProgram(text: string, options: AsmOptions = {}): Assembly {
  const assembler = new Assembler(options);
  text.split(/\r?\n/).forEach((line, i) => {
    assembler.line(line, i + 1);
  });
  return assembler.finish();
}

class Assembler {
  private readonly insns: Insn[] = [];
  private readonly lines: number[] = [];
  private readonly labels = new Map<string, number>();
  private readonly pending: Pending[] = [];

  constructor(private readonly options: AsmOptions) {}

  line(whole: string, line: number): void {
    const symbol = SYMBOL_LINE.exec(whole);
    if (symbol !== null) {
      this.label(symbol[1]!, line, 19);
      return;
    }
    const text = whole.replace(COMMENT, '');
    let at = this.slotAndBytes(text, line);
    for (let label = LABEL.exec(text.slice(at)); label !== null; label = LABEL.exec(text.slice(at))) {
      this.label(label[1]!, line, at + label[0].indexOf(label[1]!) + 1);
      at += label[0].length;
    }
    if (text.slice(at).trim() === '') return;
    this.statement(text, at, line);
  }

  /** Skip what a listing has in front of a statement; the index behind it. */
  private slotAndBytes(text: string, line: number): number {
    const slot = SLOT.exec(text);
    if (slot === null) return 0;
    if (Number(slot[1]) !== this.insns.length) {
      const problem = `the line is numbered ${slot[1]}, but the next slot is ${this.insns.length}`;
      throw new AsmError('ASM_SLOT', problem, line, text.indexOf(slot[1]!) + 1);
    }
    const at = slot[0].length;
    return at + (BYTES.exec(text.slice(at))?.[0].length ?? 0);
  }

  private statement(text: string, from: number, line: number): void {
    const code = CODE.exec(text.slice(from));
    const at = from + (code?.[0].length ?? 0);
    const body = /\b(?:goto|gotol|may_goto|call)\b/.test(text) ? text.replace(TARGET_NAME, '') : text;
    const cursor = new Cursor(tokenize(body, at, line), body.length + 1, line);
    const helperId = this.options.helperId;
    const wanted = code === null ? undefined : Number.parseInt(code[1]!, 16);
    const options: StatementOptions = {
      ...(wanted !== undefined ? { code: wanted } : {}),
      ...(helperId !== undefined ? { helperId } : {}),
    };
    const { insns, fixup } = statement(cursor, options);
    if (!cursor.done) cursor.fail(`expected the end of the line, found ${cursor.found()}`);
    if (wanted !== undefined && insns[0]!.code !== wanted) {
      const is = insns[0]!.code.toString(16).padStart(2, '0');
      cursor.fail(`the statement has opcode ${is}, not ${code![1]}`, from + 1, 'ASM_OPCODE');
    }
    if (fixup !== undefined) this.pending.push({ ...fixup, slot: this.insns.length, line });
    for (const insn of insns) {
      this.insns.push(insn);
      this.lines.push(line);
    }
  }

  private label(name: string, line: number, column: number): void {
    if (this.labels.has(name))
      throw new AsmError('ASM_LABEL', `label ${name} is defined twice`, line, column);
    this.labels.set(name, this.insns.length);
  }

  finish(): Assembly {
    for (const { label, field, slot, line, column } of this.pending) {
      const target = this.labels.get(label);
      if (target === undefined)
        throw new AsmError('ASM_LABEL', `label ${label} is not defined`, line, column);
      const displacement = target - slot - 1;
      if (field === 'off' && (displacement < -0x8000 || displacement > 0x7fff)) {
        const problem = `label ${label} is ${displacement} slots away, too far for a 16-bit offset: use gotol`;
        throw new AsmError('ASM_RANGE', problem, line, column);
      }
      this.insns[slot]![field] = displacement;
    }
    return { insns: this.insns, labels: this.labels, lines: this.lines };
  }
}
