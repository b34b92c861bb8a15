/**
 * Two small machines for the conversion's tests: classic BPF straight from the words of its original
 * description (McCanne and Jacobson, and Linux's networking/filter.rst), and as much of eBPF as converted
 * filters use. Both run on a packet and the same answers to ancillary loads.
 */
import {
  ancillaryOf,
  type ClassicCall,
  classicCallOf,
  findClassic,
  findOpcode,
  type Insn,
  SKB_OFFSETS,
  type SockFilter,
} from '../../../src/isa/index.js';

/** What a filter can see. Words of `__sk_buff` by offset; absent ones are 0. */
export interface World {
  readonly packet: Uint8Array;
  readonly skb: Readonly<Record<number, number>>;
  readonly call: (name: ClassicCall, a: number, x: number) => number;
}

const swap16 = (v: number): number => ((v & 0xff) << 8) | ((v >> 8) & 0xff);

/** Big-endian packet word, or undefined past the end (offsets relative to headers are not served). */
function packetLoad(packet: Uint8Array, offset: number, bytes: number): number | undefined {
  if (offset < 0 || offset + bytes > packet.length) return undefined;
  let value = 0;
  for (let i = 0; i < bytes; i++) value = value * 256 + packet[offset + i]!;
  return value;
}

/** Run a classic program as it stands. */
export function runClassic(filter: readonly SockFilter[], world: World): number {
  const word = (off: number): number => world.skb[off] ?? 0;
  const mem = new Uint32Array(16);
  let a = 0;
  let x = 0;
  for (let pc = 0; ; pc++) {
    const { code, jt, jf, k } = filter[pc]!;
    const row = findClassic(code)!;
    switch (row.form) {
      case 'alu': {
        const b = row.operand === 'k' ? k : x;
        if ((row.op === 'div' || row.op === 'mod') && b === 0) return 0;
        a = alu(row.op, a, b);
        break;
      }
      case 'neg':
        a = -a >>> 0;
        break;
      case 'imm':
        if (row.reg === 'a') a = k;
        else x = k;
        break;
      case 'mem':
        if (row.reg === 'a') a = mem[k]!;
        else x = mem[k]!;
        break;
      case 'st':
        mem[k] = row.reg === 'a' ? a : x;
        break;
      case 'len':
        if (row.reg === 'a') a = word(SKB_OFFSETS.len);
        else x = word(SKB_OFFSETS.len);
        break;
      case 'tax':
        x = a;
        break;
      case 'txa':
        a = x;
        break;
      case 'ja':
        pc += k;
        break;
      case 'jump': {
        const b = row.operand === 'k' ? k : x;
        const holds = { jeq: a === b, jgt: a > b, jge: a >= b, jset: (a & b) !== 0 }[row.op];
        pc += holds ? jt : jf;
        break;
      }
      case 'ret':
        return row.operand === 'k' ? k : a;
      case 'ldx_msh': {
        const byte = packetLoad(world.packet, k | 0, 1);
        if (byte === undefined) return 0;
        x = 4 * (byte & 0xf);
        break;
      }
      default: {
        const name = row.form === 'ld_abs' ? ancillaryOf(k) : undefined;
        if ((name === 'ifidx' || name === 'hatype') && word(SKB_OFFSETS.ifindex) === 0) return a;
        const offset = row.form === 'ld_abs' ? k | 0 : (x + k) | 0;
        const value = name === undefined ? packetLoad(world.packet, offset, row.width / 8) : ask(name);
        if (value === undefined) return 0;
        a = value;
      }
    }
  }

  function ask(name: NonNullable<ReturnType<typeof ancillaryOf>>): number {
    switch (name) {
      case 'proto':
        return swap16(word(SKB_OFFSETS.protocol));
      case 'vlan_tpid':
        return swap16(word(SKB_OFFSETS.vlanProto));
      case 'type':
        return word(SKB_OFFSETS.pktType);
      case 'ifidx':
        return word(SKB_OFFSETS.ifindex);
      case 'mark':
        return word(SKB_OFFSETS.mark);
      case 'queue':
        return word(SKB_OFFSETS.queueMapping);
      case 'rxhash':
        return word(SKB_OFFSETS.hash);
      case 'vlan_tci':
        return word(SKB_OFFSETS.vlanTci);
      case 'vlan_avail':
        return word(SKB_OFFSETS.vlanPresent);
      case 'xor_x':
        return (a ^ x) >>> 0;
      default:
        return world.call(name, a, x);
    }
  }
}

function alu(op: string, a: number, b: number): number {
  const shift = b & 31;
  const results: Readonly<Record<string, () => number>> = {
    add: () => a + b,
    sub: () => a - b,
    mul: () => Math.imul(a, b),
    div: () => (b === 0 ? 0 : Math.floor(a / b)),
    mod: () => (b === 0 ? a : a % b),
    and: () => a & b,
    or: () => a | b,
    xor: () => a ^ b,
    lsh: () => a << shift,
    rsh: () => a >>> shift,
    mov: () => b,
  };
  return results[op]!() >>> 0;
}

/** Where the stack and the context lie; other addresses are none. */
const STACK_TOP = 0x1000;
const CONTEXT = 0x2000;

/**
 * Run a converted program. Registers hold 32-bit values: converted filters have no wider ones but the
 * context's and the stack's addresses. Throws on what a converted filter must not hold.
 */
export function runConverted(insns: readonly Insn[], world: World): number {
  const r: number[] = new Array(11).fill(Number.NaN);
  const stack = new Map<number, number>();
  r[1] = CONTEXT;
  r[10] = STACK_TOP;
  for (let pc = 0; ; pc++) {
    const insn = insns[pc]!;
    const { dst, src, off, imm } = insn;
    const row = findOpcode(insn)!;
    switch (row.form) {
      case 'alu':
        if (row.width === 64 && row.op !== 'mov') throw new Error(`slot ${pc}: 64-bit ${row.op}`);
        r[dst] = alu(row.op, r[dst]!, row.operand === 'imm' ? imm >>> 0 : r[src]!);
        break;
      case 'neg':
        r[dst] = -r[dst]! >>> 0;
        break;
      case 'end':
        r[dst] = swap16(r[dst]!);
        break;
      case 'ldx': {
        const address = r[src]! + off;
        r[dst] = address < STACK_TOP ? stack.get(address)! : (world.skb[address - CONTEXT] ?? 0);
        break;
      }
      case 'stx':
        stack.set(r[dst]! + off, r[src]!);
        break;
      case 'ja':
        pc += off;
        break;
      case 'jump': {
        const a = r[dst]!;
        const b = row.operand === 'imm' ? imm : r[src]!;
        const holds = { jeq: a === b, jne: a !== b, jgt: a > b, jge: a >= b, jlt: a < b, jle: a <= b };
        if (row.op === 'jset' ? (a & b) !== 0 : holds[row.op as keyof typeof holds]) pc += off;
        break;
      }
      case 'ld_abs':
      case 'ld_ind': {
        const at = row.form === 'ld_abs' ? imm : (r[src]! + imm) | 0;
        const value = packetLoad(world.packet, at, row.width / 8);
        if (value === undefined || r[6] !== CONTEXT) return 0;
        r[0] = value;
        r.fill(Number.NaN, 1, 6);
        break;
      }
      case 'call':
        r[0] = world.call(classicCallOf(imm)!, r[2]!, r[3]!);
        r.fill(Number.NaN, 1, 6);
        break;
      case 'exit':
        return r[0]!;
      default:
        throw new Error(`slot ${pc}: ${row.name}`);
    }
  }
}
