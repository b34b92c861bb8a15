/**
 * What Linux's verifier takes from a program's environment, as data and small pure functions: helpers, context
 * access, packet access, return values, attach points, maps. Reference: Linux 6.18 (docs/verifier-env.md).
 */
export { type CtxField, ctxAccess, ctxRefusal, sockAccess } from './context.js';
export { funcIpProblem, helperLogText, helperProto } from './helpers.js';
export {
  type AttachTarget,
  type Capabilities,
  type EnvConfig,
  FULL_CAPABILITIES,
  FULL_CONFIG,
  isRefusal,
  type KernelFeature,
  NO_CAPABILITIES,
  type ProgEnv,
  RECORDED_CONFIG,
  type Refusal,
} from './types.js';
