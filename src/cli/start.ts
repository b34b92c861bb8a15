#!/usr/bin/env node
/** What `bpflab` starts with: the commands that are started most by kept code, if there is any, the others as modules. */
import { existsSync, readFileSync } from 'node:fs';
import { KEPT_CODE, loadScript, setFlags } from './kept-code.js';

const KEPT_COMMANDS = ['run', 'sim', 'verify'];

setFlags();
if (KEPT_COMMANDS.includes(process.argv[2] ?? '') && existsSync(KEPT_CODE)) {
  loadScript(readFileSync(KEPT_CODE)).run();
} else await import('./main.js');
