/** binary-parser has no types under ESM resolution; its CommonJS declarations describe the same class. */
declare module 'binary-parser' {
  export * from 'binary-parser/dist/binary_parser.js';
}
