/** What takes part in a change beside those who decide on it: a caller's run, which makes it itself, and the consumers of a rotation. */
import type { ChangeState } from '../change/state.ts';
import type { Authenticated } from '../identity/tokens.ts';
import { requireForItself, requireWholeChain } from './authorise.ts';
import type { Handlers } from './call.ts';
import { durable, unwrap, visibleChange, type SidecarContext } from './context.ts';
import { Problem } from './errors.ts';
import { viewOf } from './view.ts';

type CallerOperation = 'confirmConsumer' | 'getTicket' | 'postReport';

export function callerHandlers(context: SidecarContext): Handlers<CallerOperation> {
  const { engine } = context;
  const show = async (state: ChangeState): Promise<{ status: 200; body: object }> => {
    const latest = await durable(context, state);
    return { status: 200, body: viewOf(latest, engine, context.publicUrl) };
  };
  /** @throws Problem `no-such-change` or `not-requester`: a run's ticket and reports are its own */
  const requested = async (by: Authenticated, changeId: string): Promise<ChangeState> => {
    const state = await visibleChange(context, by, changeId);
    if (!state.requester.includes(by.principal)) throw new Problem('not-requester', 'the ticket and the reports of a run are for who asked');
    requireWholeChain(by, state);
    return state;
  };
  return {
    async confirmConsumer({ by, params, body }) {
      requireForItself(by);
      const { changeId } = await visibleChange(context, by, params['id']!);
      return show(unwrap(await engine.confirmConsumer(by.principal, changeId, body.consumer)));
    },
    async getTicket({ by, params, query }) {
      const { changeId } = await requested(by, params['id']!);
      return { status: 200, body: unwrap(await engine.callerTicket(by.principal, changeId, query.from === undefined ? null : Number(query.from))) };
    },
    async postReport({ by, params, body }) {
      const { changeId } = await requested(by, params['id']!);
      return show(unwrap(await engine.receiveCallerReport(changeId, body)));
    },
  };
}
