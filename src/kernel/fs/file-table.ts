/**
 * File descriptors of the task that calls `bpf()`: numbers by which user space names maps, programs, sockets, control
 * groups, inodes, events and tasks, in keys and values of maps too. Models fs/file.c: the lowest free number is given out.
 */

/** Numbers 0, 1 and 2 are the standard streams. */
const FIRST_FD = 3;

export class FileTable {
  /** What each number stands for; holes are undefined. */
  private readonly files: (object | undefined)[] = [];

  /** A descriptor for an object. */
  open(object: object): number {
    let at = this.files.indexOf(undefined);
    if (at < 0) at = this.files.length;
    this.files[at] = object;
    return FIRST_FD + at;
  }

  /** What a descriptor stands for; undefined when it is not open. */
  get(fd: number): object | undefined {
    return this.files[fd - FIRST_FD];
  }

  /** Open descriptors and what they stand for, by number. */
  entries(): (readonly [fd: number, object: object])[] {
    return this.files.flatMap((file, i) => (file === undefined ? [] : [[FIRST_FD + i, file] as const]));
  }

  /** False when it was not open. */
  close(fd: number): boolean {
    if (this.get(fd) === undefined) return false;
    this.files[fd - FIRST_FD] = undefined;
    return true;
  }
}
