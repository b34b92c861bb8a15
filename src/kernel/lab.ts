/**
 * An object in a kernel of its own: for tests, for the command line, and for anyone who wants a program's answer to one
 * input.
 */
import type { LoadableObject } from '../object/types.js';
import { Kernel, type KernelOptions } from './kernel.js';
import { type LoadedObject, type LoadObjectOptions, loadObject } from './loaded-object.js';

export type { OutputRecord } from './loaded-object.js';

export interface LabOptions extends KernelOptions, LoadObjectOptions {
  /** An existing kernel to load into. */
  readonly kernel?: Kernel;
}

export type Lab = LoadedObject<Kernel>;

/** Loads an object into a new kernel, or into the given one. Throws as `loadObject` does. */
export function loadLab(object: LoadableObject, options: LabOptions = {}): Lab {
  return loadObject(options.kernel ?? new Kernel(options), object, options);
}
