/** All cases, by the golden file that holds their texts. */
import type { Case } from '../program.js';
import { HELPERS } from './helpers.js';
import { KERNEL_STRUCTS } from './kernel-structs.js';
import { KFUNCS } from './kfuncs.js';
import { LOCKS } from './locks.js';
import { MAP } from './maps.js';
import { MEMORY } from './memory.js';
import { PACKET } from './packet.js';
import { POINTERS } from './pointers.js';
import { PRIVILEGES } from './privileges.js';
import { REFERENCES } from './references.js';
import { SHAPE } from './shape.js';
import { STACK } from './stack.js';

export const FAMILIES: readonly (readonly [name: string, cases: readonly Case[]])[] = [
  ['packet', PACKET],
  ['maps', MAP],
  ['stack', STACK],
  ['memory', MEMORY],
  ['pointers', POINTERS],
  ['helpers', HELPERS],
  ['kernel-structs', KERNEL_STRUCTS],
  ['kfuncs', KFUNCS],
  ['privileges', PRIVILEGES],
  ['references', REFERENCES],
  ['locks', LOCKS],
  ['shape', SHAPE],
];
