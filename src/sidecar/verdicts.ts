/** `/v1/verdicts`: what a person decides here on a change of another log. */
import { logOf } from '../change/derive.ts';
import { TransportError } from '../engine/ports.ts';
import type { VerdictAnswer } from '../transport/nats/verdicts.ts';
import type { Handlers } from './call.ts';
import type { SidecarContext } from './context.ts';
import { ERRORS, Problem, type ErrorCode } from './errors.ts';
import type { Verdict } from './relay.ts';

export function verdictHandlers({ log, relay, logger }: SidecarContext): Handlers<'relayVerdict'> {
  const answerTo = async (verdict: Verdict): Promise<VerdictAnswer> => {
    if (relay === undefined) throw new Problem('unreachable', 'this sidecar is on no bus');
    try {
      return await relay(verdict);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      throw new Problem('unreachable', 'its sidecar has not answered; the same verdict again is harmless', { headers: { 'retry-after': '5' }, cause: error });
    }
  };
  return {
    async relayVerdict({ by, body }) {
      const { changeId, verdict, planDigest, comment = null } = body;
      if (logOf(changeId) === log.logId) throw new Problem('invalid-request', 'a change of this log is decided at its own approvals', { errors: [{ pointer: '/changeId', detail: 'of this log' }] });
      const approver = by.principal;
      if (!approver.startsWith('person:')) throw new Problem('nhi-cannot-approve', `${approver} is a machine identity; people approve`);
      const answer = await answerTo({ changeId, verdict, planDigest, approver, comment });
      if (answer.ok) return { status: 200, body: { changeId, state: answer.state } };
      logger.info({ changeId, code: answer.code }, 'a relayed verdict was not taken');
      throw isOurs(answer.code) ? new Problem(answer.code, answer.message) : new Problem('not-relayed', `${answer.code}: ${answer.message}`);
    },
  };
}

function isOurs(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
