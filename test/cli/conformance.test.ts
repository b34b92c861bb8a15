/** The plugin's side of the bpf_conformance protocol. */
import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { run } from '../../src/cli/conformance.js';
import { assemble, encodeInsns } from '../../src/isa/index.js';

const hex = (text: string): string =>
  Buffer.from(encodeInsns(assemble(text)))
    .toString('hex')
    .replaceAll(/../g, '$&  ');

async function plugin(argv: readonly string[], input: string): Promise<readonly [code: number, out: string]> {
  let out = '';
  const sink = {
    write: (text: string) => {
      out += text;
    },
  };
  const code = await run(argv, { stdin: Readable.from([input]), stdout: sink, stderr: sink });
  return [code, out];
}

/** [what, arguments, input, exit code, output] */
const ROWS: readonly (readonly [string, readonly string[], string, number, string])[] = [
  ['no memory', [], hex('r0 = 42\nexit'), 0, '2a\n'],
  ['memory', ['01  02  ff  '], hex('r0 = *(u8 *)(r1 + 2)\nr0 += r2\nexit'), 0, '102\n'],
  ['memory and options', ['0a', '--xdp_prolog', 'x'], hex('r0 = *(u8 *)(r1 + 0)\nexit'), 0, 'a\n'],
  ['options alone', ['--debug'], hex('r0 = -1\nexit'), 0, 'ffffffffffffffff\n'],
  ['helper 5', [], hex('r1 = 9\ncall 5\nexit'), 0, '9\n'],
  [
    'a fault',
    [],
    hex('r0 = *(u8 *)(r1 + 0)\nexit'),
    1,
    'conformance, insn 0: invalid load of 1 bytes at 0x0\n',
  ],
  ['a refusal', [], 'ff 00 00 00 00 00 00 00', 1, 'conformance, insn 0: unknown opcode ff\n'],
  ['no hex', [], 'b7 zz', 1, 'the program is not a sequence of hex bytes\n'],
  ['bad memory', ['123'], hex('exit'), 1, 'the memory is not a sequence of hex bytes\n'],
];

test.each(ROWS)('%s', async (_what, argv, input, code, output) => {
  expect(await plugin(argv, input)).toEqual([code, output]);
});

test('an object that is none', async () => {
  const [code, out] = await plugin(['--elf'], '00 01 02');
  expect(code).toBe(1);
  expect(out).toContain('standard input');
});
