/**
 * The compiled core as a WebAssembly instance. The module is decoded and compiled once a process, an
 * engine instantiates it on its own memory.
 */
import { CORE_WASM_BASE64 } from './core.wasm.js';
import { Instance, Module, type WasmMemory } from './webassembly.js';

/** What the core offers: see `core/loop.ts` and `core/calls.ts`. All return a `STOP_*` number. */
export interface Core {
  run(): number;
  runChecked(): number;
  step(): number;
  stepChecked(): number;
  /** Puts the hot block at the start of a run: first cell, end of the entry's frame. */
  begin(pc: number, top: number, checked: number): void;
  /** Pushes a frame for the function at cell `target`: −1, or why it cannot. */
  push(checked: number, target: number, back: number, kind: number): number;
  /** Starts the loop helper of an index, whose call ends at the current position: −1, or a stop. */
  beginLoop(checked: number, index: number): number;
}

/** What the core asks of its host. */
export interface CoreHost {
  /** Carry out the plain helper of this index; gives r0, or NaN when it is in the hot block already. */
  plain(index: number): number;
  /** Cell of the program that a tail call leads to, 0 to fall through. */
  tail(index: number): number;
  /** Cell of the callback that a loop helper's arguments name, 0 when r0 is in the hot block already. */
  loop(index: number): number;
}

let compiled: object | undefined;

/** Node's decoder where there is one: it takes a twentieth of the time, which every process pays. */
function bytesOf(base64: string): Uint8Array {
  const { Buffer } = globalThis as { Buffer?: { from(text: string, encoding: 'base64'): Uint8Array } };
  if (Buffer !== undefined) return Buffer.from(base64, 'base64');
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function instantiateCore(memory: WasmMemory, host: CoreHost): Core {
  compiled ??= new Module(bytesOf(CORE_WASM_BASE64));
  const imports = { env: { memory }, host: { plain: host.plain, tail: host.tail, loop: host.loop } };
  return new Instance(compiled, imports).exports as unknown as Core;
}
