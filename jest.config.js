// Jest runs the TypeScript sources as ES modules; SWC only strips the types (src/vm/core.wasm.ts must have been built).
export default {
  roots: ['<rootDir>/test'],
  // A loaded machine is no reason to fail: tests that wait for something have limits of their own.
  testTimeout: 60_000,
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } },
    ],
  },
};
