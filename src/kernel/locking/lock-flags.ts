/** How a lock is taken and in what circumstances, as the bits by which lockdep tells one step from another. */

/** Exclusively, shared, or shared where readers of the same task may come again. */
export const READ_NONE = 0;
export const READ_SHARED = 1;
export const READ_RECURSIVE = 2;
export const READ_MASK = 3;
export const TRYLOCK = 4;
/** Circumstances, which lockdep adds: interrupt contexts, what is off. */
export const IN_HARDIRQ = 8;
export const IN_SOFTIRQ = 16;
export const HARDIRQS_OFF = 32;
export const SOFTIRQS_OFF = 64;
/** The interrupt under way is one that RT would run in a thread. */
export const THREADABLE = 128;
/** The lock is serialised by one that is held (`nest_lock`): not cached. */
export const NESTED = 256;
/** Steps are numbered `class index * KEY_STRIDE + bits`. */
export const KEY_STRIDE = 512;
