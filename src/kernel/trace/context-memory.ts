/**
 * Memory for the contexts of tracing programs, and how what a probe knows is put into them: registers, arrays of
 * arguments, tracepoint records. Buffers are kept for the next run; texts that arguments point to stay for good.
 */
import type { ContextField, ContextLayout } from '../../abi/context/layout.js';
import { offsetOf } from '../../abi/context/layout.js';
import { PT_REGS } from '../../abi/context/perf-event.js';
import type { EngineMemory, Region } from '../../vm/index.js';
import { SyscallError } from '../errors.js';
import type { ProbeArg } from './probes.js';

/** Registers that carry a function's first arguments, in the x86-64 calling convention. */
const ARG_REGISTERS = ['di', 'si', 'dx', 'cx', 'r8', 'r9'] as const;
const ARG_OFFSETS = ARG_REGISTERS.map((name) => offsetOf(PT_REGS, name));
const AX = offsetOf(PT_REGS, 'ax');
const IP = offsetOf(PT_REGS, 'ip');
const SP = offsetOf(PT_REGS, 'sp');
const CS = offsetOf(PT_REGS, 'cs');
const FLAGS = offsetOf(PT_REGS, 'flags');
/** __KERNEL_CS and __USER_CS. */
const KERNEL_CS = 0x10;
const USER_CS = 0x33;
/** Bit 1 is always set, bit 9 says that interrupts are on. */
const EFLAGS = 0x202;
/** Room on the stack for arguments that no register carries. */
const STACK_ARGS = 8;

/** Values of registers by name, as `struct pt_regs` spells them. */
export type Registers = Readonly<Record<string, number | bigint>>;

export class ContextMemory {
  private readonly free = new Map<number, Region[]>();
  private readonly texts = new Map<string, Region>();

  constructor(readonly memory: EngineMemory) {}

  /** A buffer of at least so many bytes, zeroed. */
  take(size: number): Region {
    const rounded = Math.max(256, 2 ** Math.ceil(Math.log2(size)));
    const region = this.free.get(rounded)?.pop() ?? this.memory.alloc(rounded, 'readwrite');
    region.bytes.fill(0);
    return region;
  }

  give(region: Region): void {
    const list = this.free.get(region.size);
    if (list === undefined) this.free.set(region.size, [region]);
    else list.push(region);
  }

  /** An argument as 64 bits: a text is what points to it. */
  word(arg: ProbeArg): bigint {
    if (typeof arg !== 'string') return BigInt.asUintN(64, BigInt(arg));
    let text = this.texts.get(arg);
    if (text === undefined) {
      const bytes = new TextEncoder().encode(`${arg}\0`);
      text = this.memory.alloc(bytes.length, 'read');
      text.bytes.set(bytes);
      this.texts.set(arg, text);
    }
    return text.address;
  }

  /** An array of arguments, and a function's result behind them where it has one. */
  args(args: readonly ProbeArg[], result?: ProbeArg, least = 0): Region {
    const count = Math.max(args.length, least);
    const region = this.take((count + 1) * 8);
    args.forEach((arg, i) => {
      this.put(region, i * 8, arg);
    });
    if (result !== undefined) this.put(region, count * 8, result);
    return region;
  }

  /** `struct pt_regs` at a function's entry, or at its exit where there is a result. */
  functionRegs(args: readonly ProbeArg[], result: ProbeArg | undefined, ip: bigint, user = false): Region {
    const region = this.take(PT_REGS.size + STACK_ARGS * 8 + 8);
    const stack = PT_REGS.size;
    args.forEach((arg, i) => {
      const at = ARG_OFFSETS[i] ?? stack + 8 + (i - ARG_OFFSETS.length) * 8;
      if (at < region.size) this.put(region, at, arg);
    });
    if (result !== undefined) this.put(region, AX, result);
    this.put(region, IP, ip);
    this.put(region, SP, region.address + BigInt(stack));
    this.put(region, CS, user ? USER_CS : KERNEL_CS);
    this.put(region, FLAGS, EFLAGS);
    return region;
  }

  /** Named registers; what is not named is zero. */
  setRegisters(region: Region, registers: Registers): void {
    for (const [name, value] of Object.entries(registers)) this.put(region, offsetOf(PT_REGS, name), value);
  }

  /** Fields of a structure in the order of its layout; a text field takes the text itself. Throws `SyscallError` (EINVAL) for a field that it lacks. */
  putFields(region: Region, layout: ContextLayout, values: Readonly<Record<string, ProbeArg>>): void {
    for (const [name, value] of Object.entries(values)) {
      const field = layout.fields.find((known) => known.name === name);
      if (field === undefined) throw SyscallError.of('EINVAL', `the context has no field ${name}`);
      this.putField(region, field, value);
    }
  }

  putField(region: Region, { offset, size, count }: ContextField, value: ProbeArg): void {
    if (typeof value === 'string' && size === 1) {
      const room = count - 1;
      region.bytes.set(new TextEncoder().encode(value).subarray(0, room), offset);
      return;
    }
    const word = this.word(value);
    for (let i = 0; i < size; i++) region.bytes[offset + i] = Number((word >> BigInt(8 * i)) & 0xffn);
  }

  private put(region: Region, at: number, value: ProbeArg): void {
    this.memory.view.setBigUint64(region.address32 + at, this.word(value), true);
  }
}
