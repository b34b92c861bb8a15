/**
 * Where the simulated kernel's functions lie: an address for each name, as `ip`, stack traces and `%ps` show them, and the
 * stack of a context as addresses. Nothing is executed there. Models the layout of x86-64 without KASLR.
 */
import type { KernelSymbols } from '../kallsyms.js';

/** Start of the kernel's text. */
const TEXT = 0xffffffff81000000n;
const FUNCTION_SIZE = 0x200n;
/** Return addresses lie somewhat inside. */
const INSIDE = 0x40n;

export class KernelText {
  private next = TEXT;

  constructor(private readonly symbols: KernelSymbols) {}

  /** Where a function begins; given when first asked for. */
  address(name: string): bigint {
    const known = this.symbols.lookupName(name);
    if (known !== undefined) return known;
    const at = this.next;
    this.next += FUNCTION_SIZE;
    this.symbols.define(name, at);
    return at;
  }

  /** Return addresses of functions under way, innermost first; marks such as `<NMI>` are left out. */
  trace(stack: readonly string[]): bigint[] {
    return stack.filter((name) => !name.startsWith('<')).map((name) => this.address(name) + INSIDE);
  }
}
