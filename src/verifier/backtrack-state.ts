/** What a walk backwards still asks for (`struct backtrack_state` of Linux 6.18). */
import { MAX_CALL_FRAMES } from './state.js';

/** Registers and slots whose value is asked for, frame by frame (`struct backtrack_state`). */
export class Backtrack {
  frame = 0;
  readonly regs = new Int32Array(MAX_CALL_FRAMES);
  readonly slotsLo = new Int32Array(MAX_CALL_FRAMES);
  readonly slotsHi = new Int32Array(MAX_CALL_FRAMES);

  reset(): void {
    this.frame = 0;
    this.regs.fill(0);
    this.slotsLo.fill(0);
    this.slotsHi.fill(0);
  }

  get isEmpty(): boolean {
    const { frame } = this;
    let mask = this.regs[frame]! | this.slotsLo[frame]! | this.slotsHi[frame]!;
    for (let i = 0; mask === 0 && i < frame; i++) mask |= this.regs[i]! | this.slotsLo[i]! | this.slotsHi[i]!;
    return mask === 0;
  }

  /** Slots of the current frame, the highest on the stack in bit 0. */
  get slotMask(): bigint {
    const { frame } = this;
    return (BigInt(this.slotsHi[frame]! >>> 0) << 32n) | BigInt(this.slotsLo[frame]! >>> 0);
  }

  hasReg(reg: number): boolean {
    return (this.regs[this.frame]! & (1 << reg)) !== 0;
  }

  setReg(reg: number): void {
    this.regs[this.frame]! |= 1 << reg;
  }

  clearReg(reg: number): void {
    this.regs[this.frame]! &= ~(1 << reg);
  }

  hasSlot(frame: number, spi: number): boolean {
    return spi < 32
      ? (this.slotsLo[frame]! & (1 << spi)) !== 0
      : (this.slotsHi[frame]! & (1 << (spi - 32))) !== 0;
  }

  setSlot(frame: number, spi: number): void {
    if (spi < 32) this.slotsLo[frame]! |= 1 << spi;
    else this.slotsHi[frame]! |= 1 << (spi - 32);
  }

  clearSlot(frame: number, spi: number): void {
    if (spi < 32) this.slotsLo[frame]! &= ~(1 << spi);
    else this.slotsHi[frame]! &= ~(1 << (spi - 32));
  }

  regsText(frame = this.frame): string {
    return bits(this.regs[frame]!, 0)
      .map((reg) => `r${reg}`)
      .join(',');
  }

  slotsText(frame = this.frame): string {
    return [...bits(this.slotsLo[frame]!, 0), ...bits(this.slotsHi[frame]!, 32)]
      .map((spi) => `${-(spi + 1) * 8}`)
      .join(',');
  }
}

function bits(mask: number, base: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < 32; i++) if ((mask & (1 << i)) !== 0) found.push(base + i);
  return found;
}
