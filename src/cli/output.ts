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

  write(text: string): void {
    this.#sink.write(text);
  }

  line(text = ''): void {
    this.#sink.write(`${text}\n`);
  }

  /** One JSON document, `bigint` as decimal strings, bytes as hex. */
  json(value: unknown): void {
    this.line(JSON.stringify(value, jsonValue, 2));
  }
}

function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return value;
}

export const stdout = new Output(process.stdout);
export const stderr = new Output(process.stderr);
