/**
 * The error family of the instruction set: wire format, assembler, and classic BPF.
 * All carry the instruction (in slots), or for assembler text the line and column, at fault.
 */
import { BpflabError, type ErrorPlace } from '../errors.js';

/** Base of everything that `src/isa` throws. */
export abstract class IsaError extends BpflabError {}

/** Bytes that are no sequence of whole instructions (`ISA_TRUNCATED`). */
export class IsaDecodeError extends IsaError {}

/** Field values that do not fit the wire format (`ISA_FIELD_RANGE`). */
export class IsaEncodeError extends IsaError {}

/** An instruction that the instruction set does not have, or with reserved fields in use (`ISA_UNKNOWN_OPCODE`, …). */
export class IsaInsnError extends IsaError {}

/** A classic program that Linux would refuse (`CLASSIC_…`). */
export class ClassicError extends IsaError {}

/** Text that the assembler cannot read; `line` and `column` count from 1. */
export class AsmError extends IsaError {
  readonly line: number;
  readonly column: number;
  /** What is wrong, without the position. */
  readonly problem: string;

  constructor(code: string, problem: string, line: number, column: number, place: ErrorPlace = {}) {
    super(code, `line ${line}, column ${column}: ${problem}`, place);
    this.line = line;
    this.column = column;
    this.problem = problem;
  }

  override within(outer: ErrorPlace): this {
    return new AsmError(this.code, this.problem, this.line, this.column, { ...outer, ...this.place }) as this;
  }
}
