/**
 * The kernel's pseudo-random numbers: a combined Tausworthe generator of four components, seeded, so that the
 * same seed gives the same numbers. Models lib/random32.c (`prandom_u32_state`).
 */
const imul = Math.imul;

export class Prandom {
  private s1: number;
  private s2: number;
  private s3: number;
  private s4: number;

  constructor(seed: number) {
    const lcg = (x: number): number => imul(x, 69069) >>> 0;
    const atLeast = (x: number, least: number): number => (x < least ? x + least : x);
    this.s1 = atLeast(lcg(seed >>> 0), 2);
    this.s2 = atLeast(lcg(this.s1), 8);
    this.s3 = atLeast(lcg(this.s2), 16);
    this.s4 = atLeast(lcg(this.s3), 128);
    for (let i = 0; i < 10; i++) this.next();
  }

  /** The next number, unsigned 32 bits. */
  next(): number {
    this.s1 = ((this.s1 & -2) << 18) ^ (((this.s1 << 6) ^ this.s1) >>> 13);
    this.s2 = ((this.s2 & -8) << 2) ^ (((this.s2 << 2) ^ this.s2) >>> 27);
    this.s3 = ((this.s3 & -16) << 7) ^ (((this.s3 << 13) ^ this.s3) >>> 21);
    this.s4 = ((this.s4 & -128) << 13) ^ (((this.s4 << 3) ^ this.s4) >>> 12);
    return (this.s1 ^ this.s2 ^ this.s3 ^ this.s4) >>> 0;
  }
}
