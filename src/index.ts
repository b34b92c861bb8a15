/**
 * The library's face: reading and relocating objects, BTF and CO-RE, the instruction set, the verifier, the engine, and a
 * laboratory to run programs in. Everything exported here is described in docs/library.md; anything else may change at any time.
 */

export { AttachType, attachTypeByName, attachTypeName } from './abi/attach-types.js';
export { errnoText } from './abi/errno.js';
export { HELPERS, helperById, helperId, helperText } from './abi/helpers.js';
export { MapFlag, mapFlagsText, UpdateFlag } from './abi/map-flags.js';
export { MapType, mapTypeByName, mapTypeName } from './abi/map-types.js';
export { ProgFlag } from './abi/prog-flags.js';
export { ProgType, progTypeByName, progTypeName } from './abi/prog-types.js';
export { returnName } from './abi/return-names.js';
export { BpflabError, type ErrorPlace } from './errors.js';
export {
  type ExploreOptions,
  type ExploreReport,
  exhaustive,
  explore,
  type Failure,
  type Minimised,
  minimise,
  parseSchedule,
  pct,
  randomWalk,
  replay,
  type Scenario as ExploreScenario,
  type Schedule,
  type Strategy,
  storyOf,
  storyText,
  type World,
} from './explore/index.js';
export { type SimWorld, simScenario } from './explore/sim-scenario.js';
export * from './isa/classic/index.js';
export * from './isa/index.js';
export type { AttachTarget } from './kernel/bpf/attach-target.js';
export type { BpfLink } from './kernel/bpf/link.js';
export type { Splat, SplatKind } from './kernel/console.js';
export { ScenarioError, SimulationError, SyscallError, UnsupportedError } from './kernel/errors.js';
export { Kernel, type KernelOptions, type Where } from './kernel/kernel.js';
export { type Lab, type LabOptions, loadLab, type OutputRecord } from './kernel/lab.js';
export type { LoadedObject } from './kernel/loaded-object.js';
export { readPcap } from './kernel/net/pcap.js';
export { type KernelProfile, kernelProfile, kernelProfileNames } from './kernel/profile.js';
export type { SimResult } from './kernel/sim/result.js';
export { parseScenario, type Scenario } from './kernel/sim/scenario.js';
export { type Simulated, simulate } from './kernel/sim/simulate.js';
export * from './object/btf/index.js';
export { btfFromBytes, loadTargetBtf, readBtfFile, type TargetChoice } from './object/btf/target.js';
export * from './object/core/index.js';
export * from './object/index.js';
export { basicBlocks, cfgDot } from './report/cfg.js';
export { type ListingOptions, programListing } from './report/disasm.js';
export { type InspectSummary, inspectText, summarise } from './report/inspect.js';
export { lockOrderDot } from './report/lock-graph.js';
export { traceEventFile } from './report/trace-event.js';
export * from './verifier/index.js';
export * from './vm/index.js';
