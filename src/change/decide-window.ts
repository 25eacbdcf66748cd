/** The window of a change opens, closes, or is missed; and the items of an offboarding are settled. */
import { parseTime } from '../protocol/values.ts';
import type { Command } from './decide.ts';
import { windowEndMs } from './derive.ts';
import type { EventBody, NewEvent } from './events.ts';
import { ALREADY, no, yes, type Decided } from './outcome.ts';
import { mayHaveGiven, needsAnotherIssue, stepOf, type ChangeState } from './state.ts';

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** The record that a window which was opened is closed; none where none was. */
export function windowClosed(state: ChangeState, by: string, cause: EventBody<'window.closed'>['cause']): NewEvent[] {
  const window = state.plan?.window;
  return state.window === 'opened' && window !== undefined ? [{ type: 'window.closed', actor: by, body: { ...window, cause } }] : [];
}

export function decideWindow(state: ChangeState, command: Of<'openWindow' | 'closeWindow' | 'missWindow'>, nowMs: number): Decided {
  const window = state.plan?.window;
  if (window === undefined) return no('not-expected', 'the plan has no window');
  const step = stepOf(state);
  const over = nowMs >= parseTime(window.closesAt);
  const tooLate = over || (step !== null && nowMs >= (windowEndMs(state.plan!, step) ?? Infinity));
  switch (command.type) {
    case 'openWindow':
      if (state.window !== 'none') return ALREADY;
      if (state.name !== 'scheduled' || nowMs < parseTime(window.opensAt) || over) return no('not-expected', 'it is not the time of the window');
      return yes({ type: 'window.opened', actor: command.by, body: window });
    case 'closeWindow':
      return yes(...windowClosed(state, command.by, over ? 'over' : 'finished'));
    case 'missWindow': {
      const missed = state.name === 'scheduled' || (needsAnotherIssue(state, nowMs) && !mayHaveGiven(state));
      if (!tooLate || !missed) return no('not-expected', `no window is missed in ${state.name}`);
      const closed = windowClosed(state, command.by, 'missed');
      if (window.onMissed === 'replan' && state.act === null && state.revision < REPLANS_MAX) {
        return yes(...closed, { type: 'change.revised', actor: command.by, body: { revision: state.revision + 1, request: state.request, cause: 'windowMissed' } });
      }
      return yes(...closed, { type: 'change.expired', actor: command.by, body: { cause: 'window' } });
    }
  }
}

/** Revisions after which a missed window is not planned anew any more: someone must look at why it is missed again and again. */
const REPLANS_MAX = 20;

export function decideItem(state: ChangeState, command: Of<'settleItem'>): Decided {
  const known = state.items.get(command.item);
  const item = state.plan?.items?.[command.item];
  if (item === undefined || state.name !== 'executing') return no('not-expected', 'no such item is due');
  if (known?.outcome === 'gone' || (known !== undefined && known.outcome === command.outcome && known.detail === command.detail)) return ALREADY;
  const { item: number, outcome, owner, detail, by } = command;
  const settled: NewEvent = { type: 'item.settled', actor: by, body: { item: number, outcome, owner, detail } };
  const others = (state.plan?.items ?? []).some((_, n) => n !== number && state.items.get(n)?.outcome === 'open');
  const found = state.findings.has('offboarding-open');
  if (outcome === 'open') return found ? yes(settled) : yes(settled, { type: 'finding.opened', actor: by, body: { code: 'offboarding-open', message: 'something could not be taken back yet', owner } });
  return found && !others ? yes({ type: 'finding.closed', actor: by, body: { code: 'offboarding-open' } }, settled) : yes(settled);
}
