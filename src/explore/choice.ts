/** Names and identities of choices: whose step it is, and how a schedule writes it down. */
import type { Choice } from '../kernel/sched/executor.js';

/** The thread of control that a choice advances: a task or interrupt, as an identity within one run. */
export function threadOf(choice: Choice): object {
  switch (choice.kind) {
    case 'switch':
      return choice.task;
    case 'interrupt':
      return choice.interrupt;
    case 'timer':
      return choice.timer;
    default:
      return choice.cpu.top ?? choice.cpu.current;
  }
}

/** Whose step it is, in words: `t2/2`, `nmi perf`. */
export function threadName(choice: Choice): string {
  switch (choice.kind) {
    case 'switch':
      return choice.task.label;
    case 'interrupt':
      return `${choice.interrupt.kind} ${choice.interrupt.name}`;
    case 'timer':
      return `timer ${choice.timer.interrupt.name}`;
    default: {
      const { top, current } = choice.cpu;
      return top === undefined ? current.label : `${top.kind} ${top.name}`;
    }
  }
}

/** The same choice has the same label in every run of a scenario; no two choices of a moment share one. */
export function choiceLabel(choice: Choice): string {
  if (choice.kind === 'timer') return `timer ${choice.timer.interrupt.name} on CPU ${choice.timer.cpu.id}`;
  return `${choice.kind} ${threadName(choice)} on CPU ${choice.cpu.id}`;
}
