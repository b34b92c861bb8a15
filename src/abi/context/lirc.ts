/**
 * Context of infrared decoders (lirc_mode2): one 32-bit sample, its kind in the upper byte and a duration
 * in microseconds in the lower three (include/uapi/linux/lirc.h).
 */
import { type ContextLayout, layout } from './layout.js';

/** A sample. */
export const LIRC_SAMPLE: ContextLayout = layout('lirc_mode2_sample', 4, [['sample', 0, 4]]);
