/**
 * Helpers on messages that are about to be sent. A program sees a part of the message in memory; what it changes gets
 * memory of its own. Models the `bpf_msg_*` helpers of net/core/filter.c, Linux 6.18.
 */
import { offsetOf } from '../../../abi/context/layout.js';
import { SK_MSG_MD } from '../../../abi/context/sock.js';
import type { HelperCall } from '../../../vm/index.js';
import type { Machine } from '../../machine.js';
import type { SkMsg } from '../run-context.js';
import { stateOf } from './state.js';
import { EINVAL, flagsArg, type HelperTable, plainHelpers } from './table.js';

const DATA = offsetOf(SK_MSG_MD, 'data');
const DATA_END = offsetOf(SK_MSG_MD, 'data_end');
const SIZE = offsetOf(SK_MSG_MD, 'size');

export function msgHelpers(kernel: Machine): HelperTable {
  return plainHelpers({
    msg_apply_bytes(call) {
      message(kernel, call).applyBytes = call.argU32(2);
      return 0;
    },
    msg_cork_bytes(call) {
      message(kernel, call).corkBytes = call.argU32(2);
      return 0;
    },
    msg_pull_data(call) {
      const msg = message(kernel, call);
      const [start, end] = [call.argU32(2), call.argU32(3)];
      if (flagsArg(call, 4) !== 0 || end <= start || end > msg.data.length) return -EINVAL;
      show(kernel, call, msg, start, end);
      return 0;
    },
    msg_push_data(call) {
      const msg = message(kernel, call);
      const [start, length] = [call.argU32(2), call.argU32(3)];
      if (flagsArg(call, 4) !== 0) return -EINVAL;
      if (length === 0) return 0;
      if (start > msg.data.length) return -EINVAL;
      const data = new Uint8Array(msg.data.length + length);
      data.set(msg.data.subarray(0, start));
      data.set(msg.data.subarray(start), start + length);
      msg.data = data;
      show(kernel, call, msg, 0, data.length);
      return 0;
    },
    msg_pop_data(call) {
      const msg = message(kernel, call);
      const [start, length] = [call.argU32(2), call.argU32(3)];
      if (flagsArg(call, 4) !== 0) return -EINVAL;
      if (start >= msg.data.length || start + length > msg.data.length) return -EINVAL;
      const data = new Uint8Array(msg.data.length - length);
      data.set(msg.data.subarray(0, start));
      data.set(msg.data.subarray(start + length), start);
      msg.data = data;
      show(kernel, call, msg, 0, data.length);
      return 0;
    },
  });
}

/** The message of this run: what the context shows when a helper first asks. Writes of the program are taken over. */
function message(kernel: Machine, call: HelperCall): SkMsg {
  const at = call.pointer(1, SK_MSG_MD.size);
  const { memory } = kernel;
  const [data, end] = [memory.view.getUint32(at + DATA, true), memory.view.getUint32(at + DATA_END, true)];
  const { run } = stateOf(kernel);
  run.msg ??= { data: memory.u8.slice(data, end), applyBytes: 0, corkBytes: 0 };
  if (end - data === run.msg.data.length) run.msg.data = memory.u8.slice(data, end);
  return run.msg;
}

function show(kernel: Machine, call: HelperCall, msg: SkMsg, start: number, end: number): void {
  const at = call.pointer(1, SK_MSG_MD.size);
  const { memory } = kernel;
  const region = stateOf(kernel).messageBuffer(msg.data.length);
  memory.u8.set(msg.data, region.address32);
  const { view } = memory;
  view.setBigUint64(at + DATA, memory.addressOf(region.address32 + start), true);
  view.setBigUint64(at + DATA_END, memory.addressOf(region.address32 + end), true);
  view.setUint32(at + SIZE, msg.data.length, true);
}
