/**
 * Context access against the running kernel, run by hand:
 *
 *     npx tsx test/oracle/context-sweep.ts [--quick] [--record FILE.jsonl]
 *
 * For every program type and attach type one load, sign-extending load and store of each size at each offset of the
 * context and a little beyond: the kernel's verdict and the type that a load yields are compared with `ctxAccess`. Then
 * return values, `LD_ABS` and stores to packets. Loads programs only; says so where `bpf()` is refused.
 * `--quick` leaves the context out; `--record` writes what the kernel allowed (test/verifier/env/data).
 */
import { writeFileSync } from 'node:fs';
import {
  ctxAccess,
  ctxRefusal,
  mayAccessPacket,
  mayLoadAbs,
  returnRange,
} from '../../src/verifier/env/index.js';
import { regTypeText } from '../../src/verifier/reg-type.js';
import { type ContextRow, writeRanges } from '../verifier/env/matrix.js';
import { complaint, mergeRows, recordedEnv, request, type SweepEnv, sweepEnvs } from './lib/env.js';
import { ask, type KernelAnswer, kernelRefusal } from './lib/kernel.js';

const FIRST_OFF = -16;
const LAST_OFF = 264;
const SIZES = [
  [1, 'u8', 's8'],
  [2, 'u16', 's16'],
  [4, 'u32', 's32'],
  [8, 'u64', undefined],
] as const;

interface Access {
  readonly off: number;
  readonly size: number;
  readonly write: boolean;
  readonly sext: boolean;
  readonly text: string;
}

function* accesses(): Generator<Access> {
  for (const [size, plain, signed] of SIZES) {
    for (let off = FIRST_OFF; off < LAST_OFF; off++) {
      const place = `r1 ${off < 0 ? '-' : '+'} ${Math.abs(off)}`;
      const tail = 'r0 = 1\nexit';
      yield { off, size, write: false, sext: false, text: `r0 = *(${plain} *)(${place})\n${tail}` };
      yield { off, size, write: true, sext: false, text: `r2 = 0\n*(${plain} *)(${place}) = r2\n${tail}` };
      if (signed !== undefined)
        yield { off, size, write: false, sext: true, text: `r0 = *(${signed} *)(${place})\n${tail}` };
    }
  }
}

/** `R0=pkt(…)` in the first state after the load; undefined where the log shows none. */
function loadedType(log: string | undefined): string | undefined {
  return /R0(?:_w)?=([a-z_]+)/.exec(log ?? '')?.[1];
}

class Tally {
  asked = 0;
  differ = 0;

  compare(what: string, ours: string, theirs: string): void {
    this.asked++;
    if (ours === theirs) return;
    this.differ++;
    if (this.differ <= 40) console.log(`${what}\n  ours:   ${ours}\n  kernel: ${theirs}`);
  }
}

function compareAccess(tally: Tally, at: SweepEnv, access: Access, answer: KernelAnswer): void {
  const { off, size, write, sext } = access;
  const field = ctxAccess(at.env, off, size, write, sext);
  const what = `${at.name}, ${sext ? 'sext ' : ''}${write ? 'write' : 'read'} off=${off} size=${size}`;
  tally.compare(what, field === undefined ? ctxRefusal(off, size).message : '', complaint(answer.log));
  const type = loadedType(answer.log);
  if (field === undefined || write || type === undefined || answer.verdict !== 'accept') return;
  // A number that is known to be one prints as such; kernel structures print with their name.
  const ours = regTypeText(field.regType) + (field.struct ?? '');
  tally.compare(`${what}: type`, ours, type);
}

/** Attach by BTF: the tables leave the arguments' types to the target's BTF. */
const tableEnvs = (): SweepEnv[] => sweepEnvs().filter(({ attachBtfId }) => attachBtfId === 0);

function sweepAccess(tally: Tally): void {
  const all = [...accesses()];
  for (const at of tableEnvs()) {
    const answers = ask(all.map(({ text }) => request(at, text)));
    all.forEach((access, i) => {
      compareAccess(tally, at, access, answers[i]!);
    });
  }
}

/** What the kernel allows, a row for each set of environments that are alike. */
function record(file: string): void {
  const all = [...accesses()];
  const rows = tableEnvs().map((at): ContextRow => {
    const answers = ask(all.map(({ text }) => request(at, text)));
    const offs = new Map<string, number[]>();
    const pointers = new Map<string, string>();
    all.forEach(({ off, size, write, sext }, i) => {
      const { log } = answers[i]!;
      if (complaint(log) !== '') return;
      const kind = `${sext ? 'sext' : write ? 'write' : 'read'} ${size}`;
      offs.set(kind, [...(offs.get(kind) ?? []), off]);
      const type = loadedType(log);
      if (!write && type !== undefined && type !== 'scalar') pointers.set(`${off}`, type);
    });
    const accessed = [...offs].map(([kind, list]) => [kind, writeRanges(list, Number(kind.split(' ')[1]))]);
    return {
      ...recordedEnv(at),
      accesses: Object.fromEntries(accessed),
      pointers: Object.fromEntries(pointers),
    };
  });
  writeFileSync(file, mergeRows(rows));
  console.log(`context-sweep: recorded ${file}`);
}

const BIG = 100_000;
/** `r0 = skb[0]`, with the context in r6. */
const LD_ABS_PROGRAM = 'r6 = r1\nr0 = *(u8 *)skb[0x0]\nr0 = 1\nexit';
const NO_LD_ABS = 'BPF_LD_[ABS|IND] instructions not allowed for this program type';

/** One program each: a return value out of every range, and a load by `LD_ABS`. */
function sweepRest(tally: Tally): void {
  const envs = sweepEnvs();
  const texts = [`r0 = ${BIG}\nexit`, LD_ABS_PROGRAM];
  const answers = ask(envs.flatMap((at) => texts.map((text) => request(at, text))));
  envs.forEach((at, i) => {
    const [returned, abs] = texts.map((_, k) => complaint(answers[i * texts.length + k]?.log));
    const range = returnRange(at.env);
    const text =
      range === undefined
        ? ''
        : `At program exit the register R0 has smin=${BIG} smax=${BIG} should have been in [${range.min}, ${range.max}]`;
    tally.compare(`${at.name}: return value`, text, returned!);
    tally.compare(
      `${at.name}: LD_ABS`,
      mayLoadAbs(at.env) ? '' : NO_LD_ABS,
      abs!.startsWith('BPF_LD') ? abs! : '',
    );
  });
}

/** Reads and writes through the packet pointer that the context gives, after a bounds check. */
function sweepPackets(tally: Tally): void {
  for (const at of tableEnvs()) {
    const pointers = packetFields(at);
    if (pointers === undefined) continue;
    const [data, end, unit] = pointers;
    const load = `r2 = *(${unit} *)(r1 + ${data})\nr3 = *(${unit} *)(r1 + ${end})\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\n`;
    const use = ['r5 = *(u8 *)(r2 + 0)', 'r5 = 0\n*(u8 *)(r2 + 0) = r5'];
    const answers = ask(use.map((text) => request(at, `${load}${text}\nout:\nr0 = 1\nexit`)));
    [false, true].forEach((write, i) => {
      const line = complaint(answers[i]?.log);
      const ours = mayAccessPacket(at.env, write) ? '' : 'cannot';
      tally.compare(
        `${at.name}: packet ${write ? 'write' : 'read'}`,
        ours,
        /^cannot (read|write)|^R2 /.test(line) ? 'cannot' : line,
      );
    });
  }
}

function packetFields(at: SweepEnv): [data: number, end: number, unit: string] | undefined {
  const find = (name: string): [number, number] | undefined => {
    for (const size of [4, 8])
      for (let off = 0; off < 256; off += size) {
        const field = ctxAccess(at.env, off, size, false);
        if (field !== undefined && regTypeText(field.regType) === name) return [off, size];
      }
    return undefined;
  };
  const data = find('pkt');
  const end = find('pkt_end');
  return data === undefined || end === undefined
    ? undefined
    : [data[0], end[0], data[1] === 8 ? 'u64' : 'u32'];
}

const refusal = kernelRefusal();
const recording = process.argv.indexOf('--record');
if (refusal !== undefined) {
  console.log(`context-sweep: SKIPPED, ${refusal}`);
} else if (recording > 0) {
  record(process.argv[recording + 1]!);
} else {
  const tally = new Tally();
  sweepRest(tally);
  sweepPackets(tally);
  if (!process.argv.includes('--quick')) sweepAccess(tally);
  console.log(`context-sweep: ${tally.asked} comparisons, ${tally.differ} differ`);
  process.exitCode = tally.differ === 0 ? 0 : 1;
}
