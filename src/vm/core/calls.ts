/**
 * What handlers do out of line: frames, tail calls, signed division, packet loads.
 */
import {
  CELL,
  FRAME_FROM_HOST,
  FRAME_INDEX,
  FRAME_KIND,
  FRAME_LOOP,
  FRAME_MAY_GOTO,
  FRAME_RETURN,
  FRAME_SIZE,
  HOT_BUDGET,
  HOT_DEPTH,
  HOT_FRAMES,
  HOT_MAY_GOTO,
  HOT_PACKET,
  HOT_PACKET_LEN,
  HOT_PACKET_NET,
  HOT_PC,
  HOT_REGS,
  HOT_STOP_ASKED,
  HOT_TAIL_CALLS,
  MAX_FRAMES,
  MAX_TAIL_CALLS,
  MAY_GOTO_LOOPS,
  STACK_FRAME,
  STACK_GAP,
  STOP_DEPTH,
  STOP_EXIT,
  STOP_FUEL,
  STOP_RETURN,
  TEXT_LOW,
  WINDOW_HIGH,
} from './layout';

/**
 * Host: carry out the plain helper of this index. Arguments are in the hot block; the result is r0, or not a
 * number when r0 is in the hot block already. A double is what JavaScript numbers cross the border as cheapest.
 */
// @external('host', 'plain')
declare function plain(index: i32): f64;

/** Calls a plain helper; true when the host wants the core to return. */
// @inline
export function callPlain(pc: usize, b: i32, index: i32): bool {
  stop(pc, b, 0);
  const r = plain(index);
  if (r == r) store<i64>(HOT_REGS, <i64>r);
  return load<i32>(HOT_STOP_ASKED) != 0;
}

/** Calls a loop helper at `pc`. */
export function callLoop<C>(pc: usize, b: i32, index: i32): i32 {
  stop(pc + CELL, b, 0);
  const s = beginLoop(sizeof<C>() == 8, index);
  return s == STOP_DEPTH ? stop(pc, b, s) : s;
}

/** Host: first cell of the program that the tail call in r1–r3 names, 0 when it falls through. */
// @external('host', 'tail')
declare function tail(index: i32): i32;

/** Leaves the core: keeps where it is and why. */
// @inline
export function stop(pc: usize, b: i32, why: i32): i32 {
  store<i32>(HOT_PC, pc);
  store<i32>(HOT_BUDGET, b);
  return why;
}

/** Shadow of the 512 bytes below `top`. */
function shadowFrame(top: u32, value: i64): void {
  let p = (top - STACK_FRAME) >> 3;
  const end = p + STACK_FRAME / 8;
  for (; p < end; p += 8) store<i64>(p, value, SHADOW_BASE);
}

/** Raw programs see the same whatever ran before. */
function zeroFrame(top: u32): void {
  const zero = i64x2.splat(0);
  const end: usize = top;
  for (let p: usize = end - STACK_FRAME; p < end; p += 64) {
    v128.store(p, zero);
    v128.store(p, zero, 16);
    v128.store(p, zero, 32);
    v128.store(p, zero, 48);
  }
}

/** Puts the hot block at the start of a run: cell `pc`, a zeroed frame below memory offset `top`. */
export function begin(pc: i32, top: i32, checked: i32): void {
  for (let i: usize = 0; i < 80; i += 16) v128.store(HOT_REGS + i, i64x2.splat(0));
  store<i64>(HOT_REGS, ((<i64>WINDOW_HIGH) << 32) | top, 80);
  store<i32>(HOT_PC, pc);
  store<i32>(HOT_BUDGET, pc);
  store<i32>(HOT_DEPTH, 0);
  store<i32>(HOT_TAIL_CALLS, 0);
  store<i32>(HOT_MAY_GOTO, MAY_GOTO_LOOPS);
  store<i32>(HOT_PACKET_LEN, 0);
  zeroFrame(top);
  if (checked) shadowFrame(top, -1);
}

/** Calls the function at cell `target`; `back` is the return cell. −1, or why it cannot. */
export function push(checked: i32, target: i32, back: i32, kind: i32): i32 {
  const depth = load<i32>(HOT_DEPTH);
  if (depth + 1 >= MAX_FRAMES) return STOP_DEPTH;
  const frame: usize = HOT_FRAMES + depth * FRAME_SIZE;
  if (kind != 0) for (let i: usize = 8; i <= 40; i += 8) store<i64>(frame + i - 8, load<i64>(HOT_REGS + i));
  for (let i: usize = 48; i <= 80; i += 8) store<i64>(frame + i - 8, load<i64>(HOT_REGS + i));
  store<i32>(frame, back, FRAME_RETURN);
  store<i32>(frame, load<i32>(HOT_MAY_GOTO), FRAME_MAY_GOTO);
  store<i32>(frame, kind, FRAME_KIND);
  store<i32>(HOT_DEPTH, depth + 1);
  store<i32>(HOT_MAY_GOTO, MAY_GOTO_LOOPS);
  const top = load<i64>(HOT_REGS, 80) - (STACK_FRAME + STACK_GAP);
  store<i64>(HOT_REGS, top, 80);
  if (checked) {
    zeroFrame(<u32>top);
    shadowFrame(<u32>top, -1);
  }
  store<i32>(HOT_PC, target);
  return -1;
}

/** Local call at `pc`: −1 and the new position in the hot block, or a stop. */
export function enter<C>(pc: usize, b: i32): i32 {
  const target = <i32>pc + load<i32>(pc, 4);
  const s = push(sizeof<C>() == 8, target, <i32>(pc + CELL), 0);
  if (s >= 0) return stop(pc, b, s);
  b += target - <i32>(pc + CELL);
  store<i32>(HOT_BUDGET, b);
  return target >= b ? STOP_FUEL : -1;
}

/** Returns from the current frame, which is not the first. */
function leave<C>(pc: usize, b: i32): i32 {
  const depth = load<i32>(HOT_DEPTH) - 1;
  const frame: usize = HOT_FRAMES + depth * FRAME_SIZE;
  if (sizeof<C>() == 8) shadowFrame(load<u32>(HOT_REGS, 80), 0);
  for (let i: usize = 48; i <= 80; i += 8) store<i64>(HOT_REGS + i, load<i64>(frame + i - 8));
  const back = load<i32>(frame, FRAME_RETURN);
  store<i32>(HOT_MAY_GOTO, load<i32>(frame, FRAME_MAY_GOTO));
  store<i32>(HOT_DEPTH, depth);
  stop(back, b + back - <i32>(pc + CELL), 0);
  const kind = load<i32>(frame, FRAME_KIND);
  if (kind == 0) return -1;
  for (let i: usize = 8; i <= 40; i += 8) store<i64>(HOT_REGS + i, load<i64>(frame + i - 8));
  return kind == FRAME_FROM_HOST ? STOP_RETURN : -1;
}

/** Host: looks at the arguments of the loop helper of this index; cell of the callback, 0 when r0 is the result already. */
// @external('host', 'loop')
declare function loop(index: i32): i32;

/** Starts a loop whose helper call ends at HOT_PC: −1 and the new position in the hot block, or a stop. */
export function beginLoop(checked: i32, index: i32): i32 {
  const target = loop(index);
  if (target == 0) return -1;
  const back = load<i32>(HOT_PC);
  const frame: usize = HOT_FRAMES + load<i32>(HOT_DEPTH) * FRAME_SIZE;
  const s = push(checked, target, back, FRAME_LOOP);
  if (s >= 0) return s;
  loopArguments(frame, 0);
  const b = load<i32>(HOT_BUDGET) + target - back;
  store<i32>(HOT_BUDGET, b);
  return target >= b ? STOP_FUEL : -1;
}

/** A callback gets the iteration's number and the context; Linux passes three zeros more. */
function loopArguments(frame: usize, index: u32): void {
  store<i32>(frame, index, FRAME_INDEX);
  store<i64>(HOT_REGS, <i64>index, 8);
  store<i64>(HOT_REGS, load<i64>(frame, 16), 16);
  store<i64>(HOT_REGS, 0, 24);
  store<i64>(HOT_REGS, 0, 32);
  store<i64>(HOT_REGS, 0, 40);
}

/** The exit of a function at `pc`: of the program, to the function's caller, or to the loop's next iteration. */
export function returnFrom<C>(pc: usize, b: i32): i32 {
  const depth = load<i32>(HOT_DEPTH);
  if (depth == 0) {
    if (sizeof<C>() == 8) shadowFrame(load<u32>(HOT_REGS, 80), 0);
    return stop(pc + CELL, b, STOP_EXIT);
  }
  const frame: usize = HOT_FRAMES + (depth - 1) * FRAME_SIZE;
  if (load<i32>(frame, FRAME_KIND) != FRAME_LOOP) return leave<C>(pc, b);
  const done = load<u32>(frame, FRAME_INDEX) + 1;
  if (load<i64>(HOT_REGS) != 0 || done >= load<u32>(frame)) {
    leave<C>(pc, b);
    store<i64>(HOT_REGS, <i64>done);
    return -1;
  }
  for (let i: usize = 48; i <= 72; i += 8) store<i64>(HOT_REGS + i, load<i64>(frame + i - 8));
  loopArguments(frame, done);
  store<i32>(HOT_MAY_GOTO, MAY_GOTO_LOOPS);
  if (sizeof<C>() == 8) zeroFrame(load<u32>(HOT_REGS, 80));
  const target = load<i32>(frame, 8) - TEXT_LOW;
  b += target - <i32>(pc + CELL);
  return stop(target, b, target >= b ? STOP_FUEL : -1);
}

/** `bpf_tail_call`: the budget moves with `pc` as for a jump. The count only grows when a program is found. */
export function tailCall(pc: usize, b: i32): i32 {
  stop(pc + CELL, b, 0);
  const made = load<i32>(HOT_TAIL_CALLS);
  if (made >= MAX_TAIL_CALLS) return -1;
  const target = tail(load<i32>(pc, 8));
  if (target == 0) return -1;
  store<i32>(HOT_TAIL_CALLS, made + 1);
  stop(target, b + target - <i32>(pc + CELL), 0);
  return target >= load<i32>(HOT_BUDGET) ? STOP_FUEL : -1;
}

/** Memory offset of `size` packet bytes at `k` (negative: SKF_NET_OFF, SKF_LL_OFF), or 0. */
export function packetPointer(k: i32, size: i32): i32 {
  let o: i64 = k;
  if (k < 0) {
    if (k >= -0x100000) o = <i64>k + 0x100000 + load<i32>(HOT_PACKET_NET);
    else if (k >= -0x200000) o = <i64>k + 0x200000;
    else return 0;
  }
  if (o + size > <i64>load<i32>(HOT_PACKET_LEN)) return 0;
  return load<i32>(HOT_PACKET) + <i32>o;
}

export function sdiv64(x: i64, y: i64): i64 {
  return y == 0 ? 0 : y == -1 ? -x : x / y;
}

export function smod64(x: i64, y: i64): i64 {
  return y == 0 ? x : y == -1 ? 0 : x % y;
}

export function sdiv32(x: i32, y: i32): i32 {
  return y == 0 ? 0 : y == -1 ? -x : x / y;
}

export function smod32(x: i32, y: i32): i32 {
  return y == 0 ? x : y == -1 ? 0 : x % y;
}
