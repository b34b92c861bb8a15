/**
 * Random programs for loaders without CAP_PERFMON: they keep to its rules, mostly, and so get to where wrong turns of the
 * processor count: branches that are decided, pointers moved by registers, pointers spilled and overwritten.
 */
import { assemble, encodeInsns } from '../../../src/isa/index.js';
import type { Rng } from '../verdicts-rng.js';
import type { MapSpec } from './gen.js';

const VALUE_SIZES = [1024, 1000, 16] as const;

export const WRONG_TURN_MAPS: readonly MapSpec[] = VALUE_SIZES.map((valueSize, i) => ({
  name: `m${i}`,
  type: 'array',
  key_size: 4,
  value_size: valueSize,
  max_entries: 1,
  map_flags: 0,
})) as unknown as readonly MapSpec[];

/** Registers: r6 context, r7 and r8 values of maps, r9 a number, r1 to r5 whatever. */
class Text {
  readonly lines: string[] = [];
  readonly #rng: Rng;
  #labels = 0;
  #depth = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  add(...lines: readonly string[]): void {
    this.lines.push(...lines);
  }

  label(): string {
    return `l${this.#labels++}`;
  }

  lookUp(into: string, map: number): void {
    this.add(
      '*(u32 *)(r10 - 4) = 0',
      'r2 = r10',
      'r2 += -4',
      `ld_pseudo r1, 0x1, ${map}`,
      'call 1',
      'if r0 == 0 goto out',
      `${into} = r0`,
    );
  }

  number(reg: string): void {
    const rng = this.#rng;
    switch (rng.range(0, 5)) {
      case 0:
        this.add(`${reg} = ${rng.pick([0, 1, 3, 8, 15, 15, 3, 8, -1, -8])}`);
        break;
      case 1:
        this.add(`${reg} = *(u32 *)(r6 + ${4 * rng.range(0, 3)})`, `${reg} &= ${rng.pick([1, 7, 15, 31])}`);
        break;
      case 2:
        this.add(
          `${reg} = *(u32 *)(r6 + 0)`,
          `${reg} &= 15`,
          `${reg} += ${rng.pick([-8, -16, 1, 4, 4, 4, 1])}`,
        );
        break;
      case 3:
        this.add(`${reg} = *(u8 *)(r7 + ${rng.range(0, 15)})`);
        break;
      case 4:
        this.add(`${reg} = r9`);
        break;
      default:
        this.add(`${reg} = ${rng.pick([0, 2, 4])}`, `r9 ${rng.pick(['+', '-', '^', '&'])}= ${reg}`);
    }
  }

  block(count: number): void {
    for (let i = 0; i < count; i++) this.statement();
  }

  statement(): void {
    const rng = this.#rng;
    const value = rng.pick(['r7', 'r8']);
    const slot = 8 * (2 + rng.range(0, 5));
    switch (rng.range(0, 15)) {
      case 0:
        this.number(rng.pick(['r2', 'r3', 'r9']));
        break;
      case 1:
        this.number('r3');
        this.add(`r2 = ${value}`, `r2 ${rng.pick(['+', '+', '+', '-'])}= r3`, this.access('r2'));
        break;
      case 2:
        this.number('r3');
        this.add(`r3 += ${value}`, this.access('r3'));
        break;
      case 3:
        this.number('r3');
        this.add(`${value} += r3`);
        break;
      case 4:
        this.add(`${value} ${rng.pick(['+', '-'])}= ${rng.pick([1, 4, 8])}`);
        break;
      case 5:
        this.add(`*(u64 *)(r10 - ${slot}) = ${rng.pick(['r6', 'r7', 'r8', 'r9', 'r10'])}`);
        break;
      case 6:
        this.add(`*(u${rng.pick([8, 16, 32, 64])} *)(r10 - ${slot}) = ${rng.pick(['r9', '0', '7'])}`);
        break;
      case 7:
        this.add(`r${1 + rng.range(0, 3)} = *(u64 *)(r10 - ${slot})`);
        break;
      case 8:
      case 9:
        this.decided();
        break;
      case 10:
      case 11:
        this.open();
        break;
      case 12:
        this.add(this.access(value));
        break;
      case 13:
        this.add(
          `r2 = r10`,
          `r2 += -${slot}`,
          rng.range(0, 1) === 0 ? 'r3 = 8' : 'r3 = -8',
          'r2 += r3',
          'r1 = *(u8 *)(r2 + 0)',
        );
        break;
      case 14:
        this.helper(slot);
        break;
      default:
        this.add(`r2 = 1`, `lock *(u64 *)(r10 - ${slot}) += r2`);
    }
  }

  helper(slot: number): void {
    const rng = this.#rng;
    if (rng.range(0, 2) === 0) {
      this.add('call 7');
      if (rng.range(0, 1) === 0) this.add('r9 = r0');
      return;
    }
    this.add('*(u32 *)(r10 - 4) = 0', 'r2 = r10', 'r2 += -4', 'r3 = r10', `r3 += -${slot}`, 'r4 = 0');
    this.add('ld_pseudo r1, 0x1, 2', 'call 2');
  }

  access(reg: string): string {
    const rng = this.#rng;
    const size = rng.pick([8, 8, 16, 32]);
    const off = rng.pick([0, 0, 1, 4]);
    return rng.range(0, 1) === 0
      ? `r1 = *(u${size} *)(${reg} + ${off})`
      : `*(u${size} *)(${reg} + ${off}) = r9`;
  }

  /** What nobody may do; only a wrong turn leads there. */
  nonsense(): void {
    const rng = this.#rng;
    this.add(
      rng.pick([
        'r1 = *(u64 *)(r9 + 0)',
        'r0 = r10',
        'r1 = *(u64 *)(r10 - 480)',
        '*(u64 *)(r7 + 0) = r6',
        'r7 += r6',
        'r2 = r5',
        'call 9999',
        'r1 = *(u64 *)(r6 + 900)',
        'if r7 == r8 goto out',
        'r10 += 1',
        'r7 = -r7',
        'r7 += 4096',
        '*(u64 *)(r10 - 24) = r7\nr1 = *(u64 *)(r10 - 24)\nr1 = *(u64 *)(r1 + 200)',
      ]),
    );
  }

  decided(): void {
    if (this.#depth > 3) return;
    this.#depth++;
    const rng = this.#rng;
    const over = this.label();
    const constant = rng.range(0, 3);
    this.add(`r5 = ${constant}`);
    // mostly the jump is taken, and what follows is only a wrong turn
    if (rng.chance(0.1)) this.add(`if r5 ${rng.pick(['!=', '<', 's>'])} 2 goto ${over}`);
    else if (rng.chance(0.3))
      this.add(`r4 = ${constant}`, `if r5 ${rng.pick(['==', '<=', 's>='])} r4 goto ${over}`);
    else this.add(`if r5 ${rng.pick(['==', '<=', 's>=', '<='])} ${constant} goto ${over}`);
    if (rng.range(0, 1) === 0) this.block(1 + rng.range(0, 2));
    if (rng.range(0, 1) === 0) this.nonsense();
    if (rng.range(0, 2) === 0) this.block(1 + rng.range(0, 1));
    this.add(`${over}:`);
    this.#depth--;
  }

  open(): void {
    if (this.#depth > 3) return;
    this.#depth++;
    const rng = this.#rng;
    const end = this.label();
    this.add(
      'r5 = *(u32 *)(r6 + 0)',
      `if r5 ${rng.pick(['==', '>', 's<', '&'])} ${rng.pick([3, 7, 100])} goto ${end}`,
    );
    this.block(1 + rng.range(0, 2));
    if (rng.range(0, 1) === 0) {
      const join = this.label();
      this.add(`goto ${join}`, `${end}:`);
      this.block(1 + rng.range(0, 2));
      this.add(`${join}:`);
    } else this.add(`${end}:`);
    this.#depth--;
  }
}

/** Instructions in hex. */
export function wrongTurnProgram(rng: Rng): string {
  const text = new Text(rng);
  text.add('r6 = r1', 'r9 = 5');
  for (let slot = 16; slot <= 64; slot += 8) text.add(`*(u64 *)(r10 - ${slot}) = ${rng.range(0, 1)}`);
  text.lookUp('r7', rng.range(0, 1));
  text.lookUp('r8', rng.range(0, 1));
  text.add('r7 += 500', 'r8 += 500');
  for (let reg = 0; reg < 6; reg++) text.add(`r${reg} = ${reg}`);
  text.block(4 + rng.range(0, 13));
  text.add('out:', 'r0 = 0', 'exit');
  return Buffer.from(encodeInsns(assemble(text.lines.join('\n')))).toString('hex');
}
