/**
 * Helpers and kernel functions, by result: every program of `helper-cases.ts` and `kfunc-cases.ts` is test-run by the kernel
 * and by ours, and has to give the same value and leave the same packet. Needs bpf(2) and the reference tools.
 *
 *   npx tsx test/oracle/helper-runs.ts [WORD]        only cases whose name holds a word
 *   npx tsx test/oracle/helper-runs.ts --record      writes what the kernel gave (test/kernel/data/helper-runs.json)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { helperId } from '../../src/abi/helpers.js';
import { assemble, encodeInsns } from '../../src/isa/index.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { Btf } from '../../src/object/btf/index.js';
import { type HelperCase, helperCases } from './helper-cases.js';
import { outcomeOf, RAW_ARGUMENTS, summaryOf } from './helper-outcome.js';
import { kfuncCases } from './kfunc-cases.js';
import { ask, kernelRefusal } from './lib/kernel.js';

const VMLINUX = '/sys/kernel/btf/vmlinux';
const RECORD = new URL('../kernel/data/helper-runs.jsonl', import.meta.url);
const SHOWN = 60;
/** Making a kernel costs milliseconds. */
const CASES_A_KERNEL = 100;

function requestOf(one: HelperCase): object {
  return {
    prog_type: one.type,
    insns: Buffer.from(encodeInsns(assemble(one.asm, { helperId }))).toString('hex'),
    maps: one.maps ?? [],
    license: 'GPL',
    ...(one.type === 'syscall' && { prog_flags: 16 }),
    runs: [
      {
        ...(one.data !== undefined && one.data !== '' && { data_in: one.data }),
        ...(one.type === 'raw_tracepoint' && { ctx_in: RAW_ARGUMENTS }),
        ...(one.type === 'syscall' && { repeat: 0 }),
      },
    ],
  };
}

function main(): void {
  const refused = kernelRefusal();
  if (refused !== undefined) {
    console.log(`skipped: running against the kernel: ${refused}`);
    return;
  }
  const btf = Btf.parse(new Uint8Array(readFileSync(VMLINUX)));
  const record = process.argv[2] === '--record';
  const word = record ? '' : (process.argv[2] ?? '');
  const all = [...helperCases(), ...kfuncCases(btf)].filter(({ name }) => name.includes(word));
  const answers = ask(all.map(requestOf));
  if (record) {
    const rows = all.map(({ name }, i) => {
      const run = answers[i]?.verdict === 'accept' ? answers[i]?.runs?.[0] : undefined;
      return run?.errno === 0 ? [name, summaryOf(run.retval!, run.data_out ?? '')] : [name];
    });
    writeFileSync(RECORD, `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
  }
  let equal = 0;
  let unloaded = 0;
  let ran = 0;
  let kernel = new Kernel({ btf });
  const differ: string[] = [];
  all.forEach((one, i) => {
    const answer = answers[i];
    const run = answer?.runs?.[0];
    if (answer?.verdict !== 'accept') {
      unloaded++;
      if (word !== '') console.log(`${one.name}: Linux does not load it: ${answer?.log ?? answer?.verdict}`);
      return;
    }
    if (ran++ % CASES_A_KERNEL === 0) kernel = new Kernel({ btf });
    const mine = outcomeOf(kernel, one);
    const theirs = run?.errno === 0 ? run : undefined;
    const same =
      theirs !== undefined &&
      mine.retval === theirs.retval &&
      (one.type === 'syscall' || one.type === 'raw_tracepoint' || mine.data === (theirs.data_out ?? ''));
    if (same) equal++;
    else
      differ.push(
        `${one.name} (${one.type}): Linux ${theirs === undefined ? `errno ${run?.errno}` : `${theirs.retval} ${theirs.data_out}`}, ours ${mine.refused ?? `${mine.retval} ${mine.data}`}`,
      );
  });
  for (const line of differ.slice(0, SHOWN)) console.log(line);
  console.log(
    `helper-runs: ${all.length} programs: ${equal} equal, ${differ.length} differ, ${unloaded} that Linux does not load`,
  );
  if (differ.length > 0) process.exitCode = 1;
}

main();
