/**
 * The engine's public face: what floors above import.
 */
export { Engine, type EngineOptions } from './engine.js';
export { HelperExit, HelperFault, VmError, VmMemoryError, VmProgramError, VmStateError } from './errors.js';
export { DEFAULT_FUEL, Execution, type Stop } from './execution.js';
export type { HelperCall } from './helper-call.js';
export type { FlowResult, HelperDef, HelperResolver, LoadOptions } from './helpers.js';
export { EngineMemory } from './memory.js';
export { Program } from './program.js';
export * from './types.js';
