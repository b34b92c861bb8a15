/**
 * All commands of `bpf()`: those on maps and programs, links, test runs, pinning, what is told of an object. They happen in
 * the task that runs; what the map commands keep out meanwhile is their own affair. Models kernel/bpf/syscall.c.
 */
import type { AttachType } from '../../abi/attach-types.js';
import type { ProgType } from '../../abi/prog-types.js';
import { SyscallError } from '../errors.js';
import { BpfFs } from '../fs/bpffs.js';
import type { Machine } from '../machine.js';
import type { AttachTarget } from './attach-target.js';
import type { BpfLink } from './link.js';
import { BpfMap } from './map.js';
import type { MapInfo } from './map-syscall.js';
import { type BpfProg, isProg } from './prog.js';
import type { HelperSets } from './prog-load.js';
import { StructOpsMap } from './struct-ops.js';
import type { StructOpsLink, StructOpsTables } from './struct-ops-link.js';
import { BpfSyscalls } from './syscall.js';
import { testRun } from './test-run.js';
import type { TestRunAttr, TestRunResult } from './test-run-types.js';

/** What BPF_OBJ_GET_INFO_BY_FD tells of a program (`struct bpf_prog_info`). */
export interface ProgInfo {
  readonly type: ProgType;
  readonly id: number;
  /** Cut to 15 characters, as Linux keeps it. */
  readonly name: string;
  readonly expectedAttachType: AttachType;
  readonly mapIds: readonly number[];
  readonly runCount: number;
  readonly recursionMisses: number;
  /** Instructions that runs have executed, for want of a measured time. */
  readonly instructions: number;
}

/** Of a link (`struct bpf_link_info`). */
export interface LinkInfo {
  readonly id: number;
  readonly progId: number;
  readonly target: string;
  readonly attached: boolean;
  readonly missed: number;
}

const MAX_NAME = 15;

export class BpfCommands extends BpfSyscalls {
  readonly fs = new BpfFs();

  constructor(
    kernel: Machine,
    helpers: HelperSets,
    private readonly links: {
      readonly attach: (prog: BpfProg, target?: AttachTarget | string) => BpfLink;
      readonly tables: StructOpsTables;
    },
  ) {
    super(kernel, helpers);
  }

  /** BPF_LINK_CREATE. Throws as `Kernel.attach` does. */
  linkCreate(prog: BpfProg, target?: AttachTarget | string): BpfLink {
    return this.links.attach(prog, target);
  }

  /** BPF_LINK_CREATE for a table of functions. Throws as `StructOpsTables.link` does. */
  linkStructOps(map: BpfMap): StructOpsLink {
    if (map instanceof StructOpsMap) return this.links.tables.link(map);
    throw SyscallError.of('EINVAL', `map ${map.name} is no table of functions`);
  }

  /** BPF_LINK_DETACH. */
  linkDetach(link: BpfLink): void {
    link.detach();
  }

  /** BPF_PROG_TEST_RUN. Throws `SyscallError` for input that Linux refuses, `ProgramFaultError` when it is stopped. */
  testRun(prog: BpfProg, attr: TestRunAttr = {}): TestRunResult {
    return testRun(this.kernel, prog, attr);
  }

  /** BPF_OBJ_PIN. Throws `SyscallError` (EEXIST, EPERM). */
  objPin(path: string, object: BpfMap | BpfProg | BpfLink): void {
    this.fs.pin(path, object);
  }

  /** BPF_OBJ_GET. Throws `SyscallError` (ENOENT). */
  objGet(path: string): BpfMap | BpfProg | BpfLink {
    return this.fs.get(path) as BpfMap | BpfProg | BpfLink;
  }

  /** BPF_OBJ_GET_INFO_BY_FD, of anything. */
  objInfo(object: BpfMap | BpfProg | BpfLink): MapInfo | ProgInfo | LinkInfo {
    if (object instanceof BpfMap) return this.mapInfo(object);
    return isProg(object) ? this.progInfo(object) : this.linkInfo(object);
  }

  progInfo(prog: BpfProg): ProgInfo {
    const { type, id, name, expectedAttachType, maps, stats } = prog;
    return {
      type,
      id,
      name: name.slice(0, MAX_NAME),
      expectedAttachType,
      mapIds: maps.map((map) => map.id),
      runCount: stats.runs,
      recursionMisses: stats.misses,
      instructions: stats.instructions,
    };
  }

  linkInfo({ id, prog, target, attached, missed }: BpfLink): LinkInfo {
    return { id, progId: prog.id, target, attached, missed };
  }
}
