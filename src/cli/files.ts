/** Reading and writing the files that a user names, with one typed error for whatever goes wrong. */
import { writeFileSync } from 'node:fs';
import { readWholeFile } from '../object/read-file.js';
import { CliIoError } from './errors.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'a part of the path is not a directory',
  ENOSPC: 'no space left',
  EROFS: 'the file system is read-only',
};

export function ioError(file: string, error: unknown): CliIoError {
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
  return new CliIoError(`IO_${code}`, REASONS[code] ?? (error as Error).message, { file });
}

/** Whole contents of `file`; `-` is standard input. */
export function readInput(file: string): Uint8Array {
  try {
    return readWholeFile(file === '-' ? 0 : file);
  } catch (error) {
    throw ioError(file, error);
  }
}

/** Writes a file; there is no `-`, since standard output has the report. */
export function writeOutput(file: string, bytes: Uint8Array | string): void {
  try {
    writeFileSync(file, bytes);
  } catch (error) {
    throw ioError(file, error);
  }
}
