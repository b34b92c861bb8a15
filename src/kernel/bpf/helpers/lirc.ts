/** Helpers of infrared decoders: what was decoded goes to the input layer. Models drivers/media/rc/bpf-lirc.c. */
import type { Machine } from '../../machine.js';
import { type HelperTable, plainHelpers } from './table.js';

export function lircHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    rc_repeat() {
      kernel.rcEvents.push({ kind: 'repeat' });
      return 0;
    },
    rc_keydown(call) {
      const event = { protocol: call.argU32(2), scancode: call.arg(3), toggle: call.argU32(4) === 0 ? 0 : 1 };
      kernel.rcEvents.push({ kind: 'keydown', ...event });
      return 0;
    },
    rc_pointer_rel(call) {
      kernel.rcEvents.push({ kind: 'pointer', x: call.argI32(2), y: call.argI32(3) });
      return 0;
    },
  });
}
