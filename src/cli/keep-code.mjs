/**
 * The last step of the build: runs a program as `bpflab run` does and keeps the code that V8 has made by then, for
 * `start.ts`. The output is nobody's.
 */
import { writeFileSync } from 'node:fs';
import { KEPT_CODE, loadScript, setFlags } from '../../dist/cli/kept-code.js';

const OBJECT = 'programs/xdp_counter.bpf.o';
const FRAME = `ffffffffffff0200000000010800${'45000028000000004006'.padEnd(80, '0')}`;

setFlags();
const { script, run } = loadScript();
process.argv.push('run', OBJECT, '--hex', FRAME);
run();
process.on('exit', () => writeFileSync(KEPT_CODE, script.createCachedData()));
