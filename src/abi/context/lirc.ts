/**
 * Context of infrared decoders (lirc_mode2): one 32-bit sample, its kind in the upper byte and a duration
 * in microseconds in the lower three (include/uapi/linux/lirc.h).
 */
import { type ContextLayout, layout } from './layout.js';

/** A sample. */
export const LIRC_SAMPLE: ContextLayout = layout('lirc_mode2_sample', 4, [['sample', 0, 4]]);

/** What a sample is: bits 24–31. */
export const LircMode2 = {
  LIRC_MODE2_SPACE: 0x00000000,
  LIRC_MODE2_PULSE: 0x01000000,
  LIRC_MODE2_FREQUENCY: 0x02000000,
  LIRC_MODE2_TIMEOUT: 0x03000000,
  LIRC_MODE2_OVERFLOW: 0x04000000,
} as const;

/** Bits of a sample that hold the kind, and those that hold the duration. */
export const LIRC_MODE2_MASK = 0xff000000;
export const LIRC_VALUE_MASK = 0x00ffffff;
