/**
 * `bpflab/verifier` alone: bundled for a browser it has no module of Node, no engine and no simulated kernel, and runs
 * where there is nothing but the language.
 */
import vm from 'node:vm';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { type BuildResult, build } from 'esbuild';

let bundle: BuildResult<{ write: false; metafile: true }>;

beforeAll(async () => {
  bundle = await build({
    entryPoints: ['src/verifier/index.ts'],
    bundle: true,
    write: false,
    metafile: true,
    format: 'iife',
    globalName: 'verifier',
    platform: 'browser',
    target: 'es2023',
  });
});

describe('bundled for a browser', () => {
  test('it holds the lower floors only', () => {
    const inputs = Object.keys(bundle.metafile.inputs).filter(
      (file) => !file.startsWith('node_modules/long/'),
    );
    expect(inputs.length).toBeGreaterThan(20);
    expect(inputs.filter((file) => !/^src\/(errors\.ts|isa\/|abi\/|object\/|verifier\/)/.test(file))).toEqual(
      [],
    );
  });

  test('it asks for no module at run time', () => {
    const outputs = Object.values(bundle.metafile.outputs);
    expect(outputs.flatMap(({ imports }) => imports)).toEqual([]);
    expect(bundle.warnings).toEqual([]);
  });

  test('it judges in a context without Node', () => {
    const context = vm.createContext({});
    vm.runInContext(bundle.outputFiles[0]!.text, context);
    const verdicts: unknown = vm.runInContext(
      `const insn = (code, dst, src, off, imm) => ({ code, dst, src, off, imm });
       const judge = (insns) => {
         const { verdict, errno, message } = verifier.verifyFor(verifier.profileByName('rt'), { insns, progType: 1 });
         return [verdict, errno, message].join(' ');
       };
       [
         typeof process,
         judge([insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0)]),
         judge([insn(0xbf, 0, 3, 0, 0), insn(0x95, 0, 0, 0, 0)]),
       ].join('|')`,
      context,
    );
    expect(verdicts).toBe('undefined|accept 0 |reject 13 R3 !read_ok');
  });
});
