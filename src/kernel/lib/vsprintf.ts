/**
 * The kernel's printf as far as BPF programs may use it. Models `bpf_bprintf_prepare` (kernel/bpf/helpers.c) and
 * lib/vsprintf.c of Linux 6.18. `%p` prints the address itself, where Linux prints a hash of it.
 */
import { Errno } from '../../abi/errno.js';

export interface PrintSource {
  /** The n-th argument as an unsigned 64-bit number; undefined when there are no more. */
  arg(n: number): bigint | undefined;
  /** String at an address, for `%s` and its kin; '(efault)'-like text is the caller's choice. */
  string(address: bigint, space: 'kernel' | 'user'): string;
  /** Bytes at a kernel address, for `%pI4` and `%pI6`; undefined when they cannot be read. */
  bytes(address: bigint, size: number): Uint8Array | undefined;
  /** Name of a kernel symbol, for `%ps`, `%pS` and `%pB`. */
  symbol(address: bigint): string;
}

/** One conversion: flags, width, length or pointer kind, letter. */
const CONVERSION = /%(%|([0+\- ]*)(\d*)(p(?:[KxsSB]|ks|us|[iI]4|[iI]6)?|s|c|(?:ll|l)?[diuxX]))/gy;

/** The text, or a negative errno: -EINVAL for a conversion that BPF does not know or without an argument. */
export function bpfPrintf(format: string, source: PrintSource): string | number {
  let text = '';
  let used = 0;
  for (let at = 0; at < format.length; ) {
    const char = format[at]!;
    if (char.charCodeAt(0) > 126 || (char.charCodeAt(0) < 32 && !/\s/.test(char))) return -Errno.EINVAL;
    if (char !== '%') {
      text += char;
      at++;
      continue;
    }
    CONVERSION.lastIndex = at;
    const match = CONVERSION.exec(format);
    if (match === null) return -Errno.EINVAL;
    at = CONVERSION.lastIndex;
    if (match[1] === '%') {
      text += '%';
      continue;
    }
    const arg = source.arg(used++);
    if (arg === undefined) return -Errno.EINVAL;
    text += pad(convert(match[4]!, match[2]!, arg, source), match[2]!, Number(match[3] ?? 0), match[4]!);
  }
  return text;
}

function convert(what: string, flags: string, arg: bigint, source: PrintSource): string {
  switch (what) {
    case 's':
    case 'pks':
      return source.string(arg, 'kernel');
    case 'pus':
      return source.string(arg, 'user');
    case 'c':
      return String.fromCharCode(Number(arg & 0xffn));
    case 'p':
    case 'pK':
    case 'px':
      return arg.toString(16).padStart(16, '0');
    case 'ps':
    case 'pS':
    case 'pB':
      return source.symbol(arg);
    case 'pi4':
    case 'pI4':
    case 'pi6':
    case 'pI6':
      return address(what, arg, source);
    default:
      return integer(what, flags, arg);
  }
}

function integer(what: string, flags: string, arg: bigint): string {
  const bits = what.startsWith('l') ? 64 : 32;
  const letter = what.at(-1)!;
  if (letter === 'd' || letter === 'i') {
    const value = BigInt.asIntN(bits, arg);
    const sign = value < 0n ? '' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
    return sign + value.toString();
  }
  const value = BigInt.asUintN(bits, arg);
  if (letter === 'u') return value.toString();
  return letter === 'X' ? value.toString(16).toUpperCase() : value.toString(16);
}

function address(what: string, arg: bigint, source: PrintSource): string {
  const four = what.endsWith('4');
  const bytes = source.bytes(arg, four ? 4 : 16);
  if (bytes === undefined) return '(efault)';
  if (four) {
    const parts = [...bytes].map((byte) =>
      what === 'pi4' ? byte.toString().padStart(3, '0') : byte.toString(),
    );
    return parts.join('.');
  }
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2)
    groups.push(((bytes[i]! << 8) | bytes[i + 1]!).toString(16).padStart(4, '0'));
  return what === 'pi6' ? groups.join('') : groups.join(':');
}

function pad(text: string, flags: string, width: number, what: string): string {
  if (text.length >= width) return text;
  if (flags.includes('-')) return text.padEnd(width);
  if (!flags.includes('0') || !/[diuxX]$/.test(what)) return text.padStart(width);
  const sign = /^[+\- ]/.test(text) ? text[0]! : '';
  return sign + text.slice(sign.length).padStart(width - sign.length, '0');
}
