/**
 * What Linux's verifier takes from a program's environment, as data and small pure functions: helpers, context
 * access, packet access, return values, attach points, maps. Reference: Linux 6.18 (docs/verifier-env.md).
 */
export {
  attachProblem,
  fixupAttachType,
  hasBtfTarget,
  type LoadFacts,
  loadProblem,
  MAX_INSNS,
  MAX_INSNS_UNPRIVILEGED,
  missingCapability,
  sleepableProblem,
} from './attach.js';
export { type CtxField, ctxAccess, ctxRefusal, sockAccess } from './context.js';
export { isSleepableLsmHook } from './helper-conditions.js';
export { hasTrampoline, helperVariant } from './helper-sets.js';
export { funcIpProblem, helperLogText, helperProto } from './helpers.js';
export {
  isTracingType,
  type MapFacts,
  mapHelperProblem,
  mapProgramProblem,
  preallocProblem,
  timerProblem,
} from './maps.js';
export { mayAccessPacket, mayLoadAbs } from './packet.js';
export { type ReturnRange, type ReturnRule, returnRange, returnRule } from './returns.js';
export {
  type AttachTarget,
  type Capabilities,
  type EnvConfig,
  FULL_CAPABILITIES,
  FULL_CONFIG,
  isRefusal,
  type KernelFeature,
  NO_CAPABILITIES,
  type PreallocPolicy,
  type ProgEnv,
  RECORDED_CONFIG,
  type Refusal,
  RT_CONFIG,
} from './types.js';
