/**
 * The little of the WebAssembly JavaScript interface that the engine uses. Declared here because neither
 * Node's types nor the language's library carry it without the whole DOM.
 */

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Adds 64 KiB pages; views of the old buffer become empty. */
  grow(pages: number): number;
}

interface WasmApi {
  readonly Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Record<string, unknown> };
}

export const { Memory, Module, Instance } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
