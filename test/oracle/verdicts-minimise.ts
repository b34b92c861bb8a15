/**
 * Makes a finding small: instructions go, immediates shrink, as long as the difference between the kernel and us stays
 * of the same kind.
 */
import { decodeSlots, encodeSlots, type Slot } from './random/builder.js';
import type { RandomRequest } from './random/program.js';

/** Whether each candidate still shows the difference. */
export type Check = (candidates: readonly RandomRequest[]) => Promise<boolean[]>;

const LD_IMM64 = 0x18;
const CALL = 0x85;
const EXIT = 0x95;

interface Program {
  readonly slots: readonly Slot[];
  /** First slots of the functions in `func_info`. */
  readonly starts: readonly number[];
}

/** Distance of a relative jump, call or function address; undefined for other instructions. */
function distance(slot: Slot): number | undefined {
  const cls = slot.code & 7;
  if (slot.code === CALL) return slot.src === 1 ? slot.imm : undefined;
  if (slot.code === LD_IMM64) return slot.src === 4 ? slot.imm : undefined;
  if (slot.code === EXIT || (cls !== 5 && cls !== 6)) return undefined;
  return slot.code === 0x06 ? slot.imm : slot.off;
}

function withDistance(slot: Slot, to: number): Slot {
  return slot.code === CALL || slot.code === LD_IMM64 || slot.code === 0x06
    ? { ...slot, imm: to }
    : { ...slot, off: to };
}

/** Without the slots `from` … `to`-1; what jumped into them lands behind. */
function without({ slots, starts }: Program, from: number, to: number): Program {
  const moved = (at: number): number => (at <= from ? at : at < to ? from : at - (to - from));
  const kept: Slot[] = [];
  slots.forEach((slot, i) => {
    if (i >= from && i < to) return;
    const far = distance(slot);
    kept.push(far === undefined ? slot : withDistance(slot, moved(i + 1 + far) - moved(i) - 1));
  });
  return { slots: kept, starts: starts.map(moved) };
}

function startsOf(request: RandomRequest): number[] {
  const info = Buffer.from(request.func_info ?? '', 'hex');
  return Array.from({ length: info.length / 8 }, (_, i) => info.readUInt32LE(8 * i));
}

function requestOf(request: RandomRequest, { slots, starts }: Program): RandomRequest {
  const info = Buffer.from(request.func_info ?? '', 'hex');
  starts.forEach((start, i) => void info.writeUInt32LE(start, 8 * i));
  return {
    ...request,
    insns: encodeSlots(slots),
    ...(info.length > 0 && { func_info: info.toString('hex') }),
  };
}

type Range = readonly [from: number, to: number];

function ranges({ slots }: Program, size: number): Range[] {
  const list: Range[] = [];
  for (let at = 0; at + size <= slots.length; at += size) {
    const from = slots[at]!.code === 0 ? at + 1 : at;
    const to = slots[at + size - 1]!.code === LD_IMM64 ? at + size + 1 : at + size;
    if (to > from) list.push([from, to]);
  }
  return list;
}

/** All ranges gone; they do not overlap and are in order. */
const withoutAll = (program: Program, gone: readonly Range[]): Program =>
  gone.reduceRight((rest, [from, to]) => without(rest, from, to), program);

function* simpler({ slots, starts }: Program): Generator<Program> {
  for (const [i, slot] of slots.entries()) {
    const relative = distance(slot) !== undefined;
    const usesImm = !relative || ((slot.code & 8) === 0 && slot.code !== CALL && slot.code !== LD_IMM64);
    if (!usesImm || slot.code === CALL) continue;
    for (const imm of [0, 1, slot.imm >> 1, slot.imm - Math.sign(slot.imm)]) {
      if (Math.abs(imm) < Math.abs(slot.imm)) yield { slots: slots.with(i, { ...slot, imm }), starts };
    }
  }
}

/** `deadline` on the clock of `performance.now()`: what is reached by then is the result. */
export async function minimise(
  request: RandomRequest,
  check: Check,
  deadline: number,
): Promise<RandomRequest> {
  let best: Program = { slots: decodeSlots(request.insns), starts: startsOf(request) };
  const passing = async (candidates: readonly Program[]): Promise<number[]> => {
    if (performance.now() > deadline) return [];
    const results = await check(candidates.map((program) => requestOf(request, program)));
    return results.flatMap((still, i) => (still ? [i] : []));
  };
  for (let size = best.slots.length >> 1; size >= 1; ) {
    const tried = ranges(best, size);
    const good = (await passing(tried.map(([from, to]) => without(best, from, to)))).map((i) => tried[i]!);
    // what can go one by one can often go together
    const sets = [1, 2, 4, 8].map((part) => good.slice(0, Math.ceil(good.length / part)));
    const together = sets.concat(good.map((range) => [range])).filter((set) => set.length > 0);
    const [first] = await passing(together.map((set) => withoutAll(best, set)));
    if (first === undefined) size >>= 1;
    else best = withoutAll(best, together[first]!);
  }
  for (let rounds = 0; rounds < 20; rounds++) {
    const candidates = [...simpler(best)];
    const [first] = await passing(candidates);
    if (first === undefined) break;
    best = candidates[first]!;
  }
  return requestOf(request, best);
}
