/**
 * Format strings of `bpf_snprintf` that the verifier can see: which conversions there may be, and that each has its
 * argument. Models what `bpf_bprintf_prepare` checks (kernel/bpf/helpers.c, Linux 6.18).
 */
const code = (char: string): number => char.charCodeAt(0);
const PERCENT = code('%');
const ZERO = code('0');
const NINE = code('9');
const FLAGS: ReadonlySet<number> = new Set([...'0+- '].map(code));
const INTEGERS: ReadonlySet<number> = new Set([...'iduxX'].map(code));
/** Kinds of pointers that take one letter, and no more of it is looked at. */
const POINTER_LETTERS: ReadonlySet<number> = new Set([...'KxsSB'].map(code));

const isSpace = (c: number): boolean => c === 32 || (c >= 9 && c <= 13);
const isPunct = (c: number): boolean =>
  (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
const isPlain = (c: number): boolean => (c >= 32 && c <= 126) || isSpace(c) || c >= 0x80;
/** What may follow a conversion that could have taken another letter. */
const ends = (c: number): boolean => c === 0 || isSpace(c) || isPunct(c);

class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The byte `ahead` of the place; 0 at the end and behind it. */
  peek(ahead = 0): number {
    return this.#bytes[this.at + ahead] ?? 0;
  }

  is(char: string, ahead = 0): boolean {
    return this.peek(ahead) === code(char);
  }
}

/** True if the string (its NUL left out) is good for `argCount` arguments of 64 bits. */
export function isGoodFormat(format: Uint8Array, argCount: number): boolean {
  const reader = new Reader(format);
  let used = 0;
  for (; reader.at < format.length; reader.at++) {
    if (!isPlain(reader.peek())) return false;
    if (reader.peek() !== PERCENT) continue;
    if (reader.peek(1) === PERCENT) {
      reader.at++;
      continue;
    }
    if (used >= argCount) return false;
    reader.at++;
    if (!readConversion(reader)) return false;
    used++;
  }
  return true;
}

/** Leaves the reader at the conversion's last byte. */
function readConversion(reader: Reader): boolean {
  while (FLAGS.has(reader.peek())) reader.at++;
  if (reader.peek() > ZERO && reader.peek() <= NINE) {
    while (reader.peek() >= ZERO && reader.peek() <= NINE) reader.at++;
  }
  if (reader.is('p')) return readPointer(reader);
  if (reader.is('s')) return ends(reader.peek(1));
  if (reader.is('c')) return true;
  for (let i = 0; i < 2 && reader.is('l'); i++) reader.at++;
  return INTEGERS.has(reader.peek());
}

function readPointer(reader: Reader): boolean {
  if (ends(reader.peek(1))) return true;
  if ((reader.is('k', 1) || reader.is('u', 1)) && reader.is('s', 2)) {
    reader.at += 2;
    return ends(reader.peek(1));
  }
  if (POINTER_LETTERS.has(reader.peek(1))) {
    reader.at++;
    return true;
  }
  const isAddress = (reader.is('i', 1) || reader.is('I', 1)) && (reader.is('4', 2) || reader.is('6', 2));
  reader.at += 2;
  return isAddress;
}
