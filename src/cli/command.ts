/** What a file of this folder must export to become a `bpflab` command; `main.ts` loads it on demand. */
import type { Command } from 'commander';

export interface CommandModule {
  /** Adds arguments, options, help with examples, and the action. */
  configure(command: Command): void;
}
