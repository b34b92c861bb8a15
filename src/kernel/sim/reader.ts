/**
 * Reads data that came as JSON, with one clear error that names the place in it: `events[3].packet.hex: …`. What is not
 * asked for is refused, so that a misspelt key is no silent omission.
 */
import { ScenarioError } from '../errors.js';

export class Reader {
  private readonly asked = new Set<string>();

  constructor(
    readonly value: unknown,
    /** Where it is, e.g. `events[3].packet`; empty for the whole. */
    readonly path = '',
  ) {}

  fail(code: 'TYPE' | 'VALUE' | 'KEY' | 'NAME', what: string): never {
    throw new ScenarioError(`SCENARIO_${code}`, this.path === '' ? what : `${this.path}: ${what}`);
  }

  /** Whether an object has a key. */
  has(key: string): boolean {
    return Object.hasOwn(this.object(), key);
  }

  /** A member that has to be there. */
  get(key: string): Reader {
    const member = this.maybe(key);
    return member ?? this.fail('KEY', `"${key}" is missing`);
  }

  maybe(key: string): Reader | undefined {
    const object = this.object();
    this.asked.add(key);
    if (!Object.hasOwn(object, key)) return undefined;
    return new Reader(object[key], this.path === '' ? key : `${this.path}.${key}`);
  }

  /** Members of an object whose keys are the user's own. */
  members(): [string, Reader][] {
    return Object.keys(this.object()).map((key) => [key, this.get(key)]);
  }

  items(most = Number.POSITIVE_INFINITY): Reader[] {
    if (!Array.isArray(this.value)) this.fail('TYPE', 'a list is wanted');
    if (this.value.length > most)
      this.fail('VALUE', `the list has ${this.value.length} members, more than ${most}`);
    return this.value.map((item: unknown, i) => new Reader(item, `${this.path}[${i}]`));
  }

  /** Refuses what nobody has asked for. */
  end(): void {
    const unknown = Object.keys(this.object()).find((key) => !this.asked.has(key));
    if (unknown === undefined) return;
    this.fail('KEY', `"${unknown}" is not known here; there are: ${[...this.asked].join(', ')}`);
  }

  /** A name, path or the like: something, on one line. */
  text(): string {
    const text = this.prose();
    if (text === '') this.fail('VALUE', 'a text that says something is wanted');
    return /\p{Cc}/u.test(text) ? this.fail('VALUE', 'a text without control characters is wanted') : text;
  }

  /** Whatever text there is. */
  prose(): string {
    return typeof this.value === 'string' ? this.value : this.fail('TYPE', 'a text is wanted');
  }

  oneOf<T extends string>(choices: readonly T[]): T {
    const text = this.text();
    const found = choices.find((choice) => choice === text);
    return found ?? this.fail('VALUE', `"${text}" is none of: ${choices.join(', ')}`);
  }

  boolean(): boolean {
    return typeof this.value === 'boolean' ? this.value : this.fail('TYPE', 'true or false is wanted');
  }

  /** A whole number. */
  integer(least: number, most: number): number {
    const { value } = this;
    if (typeof value !== 'number' || !Number.isInteger(value)) this.fail('TYPE', 'a whole number is wanted');
    return value >= least && value <= most
      ? value
      : this.fail('VALUE', `${value} is not within ${least} and ${most}`);
  }

  /** A number that may need 64 bits: a JSON number, or a text such as `"0xffff888000000000"`. */
  word(): bigint {
    const { value } = this;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
    if (typeof value === 'string' && /^-?(0x[0-9a-f]+|\d+)$/i.test(value)) {
      return value.startsWith('-') ? -BigInt(value.slice(1)) : BigInt(value);
    }
    return this.fail('TYPE', 'a whole number, or a text with one, is wanted');
  }

  /** Bytes as hex digits, spaces and colons between them allowed. */
  hex(): Uint8Array {
    const digits = this.prose().replaceAll(/0x|[\s:]/g, '');
    if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits))
      this.fail('VALUE', 'pairs of hex digits are wanted');
    return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
      Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
    );
  }

  private object(): Record<string, unknown> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      this.fail('TYPE', 'an object is wanted');
    return value as Record<string, unknown>;
  }
}
