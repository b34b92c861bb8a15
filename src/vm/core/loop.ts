/**
 * The interpreter: one loop over pre-decoded cells. `build.mjs` replaces the handlers' marker by the cases
 * that `handlers.mjs` and `fusions.mjs` define. `C` says whether accesses are checked against the shadow (`i64`)
 * or only against the window (`i32`).
 */

import { element, fault, forbidden } from './access';
import {
  callLoop,
  callPlain,
  enter,
  packetPointer,
  returnFrom,
  sdiv32,
  sdiv64,
  smod32,
  smod64,
  stop,
  tailCall,
} from './calls';
import {
  CELL,
  HOT_BUDGET,
  HOT_CALLEE,
  HOT_MAY_GOTO,
  HOT_PC,
  HOT_REGS,
  STOP_BAD_OP,
  STOP_CALL,
  STOP_END,
  STOP_FLOW,
  STOP_FUEL,
  STOP_HELPER,
} from './layout';

/** The loop with fused operations; fuel is looked at where code jumps back. */
function loop<C>(): i32 {
  let pc: usize = load<i32>(HOT_PC);
  let b: i32 = load<i32>(HOT_BUDGET);
  while (true) {
    switch (<i32>load<u16>(pc)) {
      /*HANDLERS*/
      /*FUSIONS*/
      default:
        return stop(pc, b, STOP_BAD_OP);
    }
  }
  return 0;
}

/** The loop that looks at fuel before every cell, for programs without fused operations. */
function stepLoop<C>(): i32 {
  let pc: usize = load<i32>(HOT_PC);
  let b: i32 = load<i32>(HOT_BUDGET);
  while (true) {
    if (<i32>pc >= b) return stop(pc, b, STOP_FUEL);
    switch (<i32>load<u16>(pc)) {
      /*HANDLERS*/
      default:
        return stop(pc, b, STOP_BAD_OP);
    }
  }
  return 0;
}

export function run(): i32 {
  return loop<i32>();
}

export function runChecked(): i32 {
  return loop<i64>();
}

export function step(): i32 {
  return stepLoop<i32>();
}

export function stepChecked(): i32 {
  return stepLoop<i64>();
}
