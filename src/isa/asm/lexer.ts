/**
 * Tokens of one line of assembler text, and a cursor over them. Columns count from 1 in the line as
 * the user wrote it.
 */
import { AsmError } from '../errors.js';

export interface Token {
  readonly kind: 'number' | 'word' | 'symbol';
  readonly text: string;
  /** Value of a number. */
  readonly value: bigint;
  readonly column: number;
}

const NUMBER = /0[xX][0-9a-fA-F]+|[0-9]+/y;
const WORD = /[A-Za-z_.$][A-Za-z0-9_.$]*/y;
/** Longest first; signed operators begin with an `s` and so come before words. */
const SYMBOL = /s>>=|s<=|s>=|s\/=|s%=|s<|s>|<<=|>>=|[-+*/|&^%=!<>]=|[-+*%&<>=()[\]:#,]/y;
/** Enough for any 64-bit number; longer ones would only cost time. */
const MAX_DIGITS = 40;
const SPACE = /[ \t]*/y;

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** Split `text` from index `from` on. @throws AsmError `ASM_SYNTAX` at a character that begins no token. */
export function tokenize(text: string, from: number, line: number): Token[] {
  const tokens: Token[] = [];
  for (let at = from; ; ) {
    at += match(SPACE, text, at)!.length;
    if (at >= text.length) return tokens;
    const column = at + 1;
    const symbol = match(SYMBOL, text, at);
    const word = symbol === undefined ? match(WORD, text, at) : undefined;
    const number = symbol === undefined && word === undefined ? match(NUMBER, text, at) : undefined;
    const found = symbol ?? word ?? number;
    if (found === undefined) {
      throw new AsmError('ASM_SYNTAX', `unexpected character ${JSON.stringify(text[at])}`, line, column);
    }
    if (number !== undefined && number.length > MAX_DIGITS) {
      throw new AsmError('ASM_RANGE', `number of ${number.length} characters`, line, column);
    }
    const kind = symbol !== undefined ? 'symbol' : word !== undefined ? 'word' : 'number';
    tokens.push({ kind, text: found, value: number === undefined ? 0n : BigInt(number), column });
    at += found.length;
  }
}

/** Reads a line's tokens from left to right. */
export class Cursor {
  private at = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly endColumn: number,
    readonly line: number,
  ) {}

  /** The token `ahead` places on, or undefined past the end of the line. */
  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead];
  }

  /** Column of the next token, or of the end of the line. */
  get column(): number {
    return this.peek()?.column ?? this.endColumn;
  }

  /** Take the next token if it reads `text`. */
  accept(text: string): boolean {
    if (this.peek()?.text !== text) return false;
    this.at++;
    return true;
  }

  /** Take the next token, which must read `text`. */
  expect(text: string): void {
    if (!this.accept(text)) this.fail(`expected ${JSON.stringify(text)}, found ${this.found()}`);
  }

  /** Take the next token if it is of `kind` (and matches `pattern`). */
  take(kind: Token['kind'], pattern?: RegExp): Token | undefined {
    const token = this.peek();
    if (token?.kind !== kind || (pattern !== undefined && !pattern.test(token.text))) return undefined;
    this.at++;
    return token;
  }

  /** True when the line is used up. */
  get done(): boolean {
    return this.at >= this.tokens.length;
  }

  /** The next token for messages. */
  found(): string {
    const token = this.peek();
    return token === undefined ? 'the end of the line' : JSON.stringify(token.text);
  }

  /** @throws AsmError always, at `column` (default: the next token). */
  fail(problem: string, column = this.column, code = 'ASM_SYNTAX'): never {
    throw new AsmError(code, problem, this.line, column);
  }
}
