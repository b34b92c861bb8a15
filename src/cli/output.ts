/**
 * Standard output and error of the commands: colours only on a terminal (`NO_COLOR` and `FORCE_COLOR`
 * respected), results on standard output, everything else on standard error.
 */
import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

function wantsColour(sink: Sink): boolean {
  if (process.env.NO_COLOR) return false;
  if (process.env.FORCE_COLOR && process.env.FORCE_COLOR !== '0') return true;
  return sink.isTTY === true;
}

export class Output {
  readonly #sink: Sink;
  readonly colour: boolean;

  constructor(sink: Sink) {
    this.#sink = sink;
    this.colour = wantsColour(sink);
  }

  /** Text in a style where the sink shows colours, bare elsewhere. */
  style(style: Style, text: string): string {
    return this.colour ? styleText(style, text) : text;
  }

  /** Text for people: control characters, which an object's names and strings may hold, are spelt out. */
  write(text: string): void {
    this.#sink.write(spellOut(text, this.colour));
  }

  line(text = ''): void {
    this.write(`${text}\n`);
  }

  /** One JSON document, `bigint` as decimal strings, bytes as hex. */
  json(value: unknown): void {
    this.#sink.write(`${JSON.stringify(value, jsonValue, 2)}\n`);
  }
}

const CONTROLS = /(?![\t\n])\p{Cc}/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the colours that `style` sets begin with one
const CONTROLS_BUT_COLOURS = /(?![\t\n]|\x1b\[\d{1,3}m)\p{Cc}/gu;

function spellOut(text: string, colour: boolean): string {
  return text.replaceAll(
    colour ? CONTROLS_BUT_COLOURS : CONTROLS,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return value;
}

export const stdout = new Output(process.stdout);
export const stderr = new Output(process.stderr);
