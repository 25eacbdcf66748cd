/** REPLAY in one line, and what it leaves unproven. */
import type { Verdict } from '../../ledger/index.ts';
import { policySignersOf } from '../protocol/policy-bundle.ts';
import type { Trust } from '../protocol/trust-folder.ts';
import type { ReplayFindings } from './replay.ts';

/** Why nothing is to be replayed; null where something is. `asked`: whether there is anything to replay with, and nobody said not to. */
export function whyNoReplay(trust: Trust | null, wholeFolder: boolean, asked: boolean): string | null {
  if (trust === null) return 'no trust was given';
  if (!wholeFolder) return 'no trust folder';
  if (policySignersOf(trust.requirements).length === 0) return 'the trust folder names no policy signer in requirements.json';
  return asked ? null : 'not asked';
}

export function replayVerdict({ decisions, same, engineDenied, differing, kept, unreplayed }: ReplayFindings): Verdict {
  const name = 'REPLAY';
  const [first] = kept;
  if (first !== undefined) {
    const more = differing === 1 ? '' : `, and ${differing - 1} more`;
    return { name, status: 'fails', message: `record ${first.seq}: ${first.message}${first.changeId === null ? '' : `, in ${first.changeId}`}${more}`, seq: first.seq };
  }
  const denied = engineDenied === 0 ? [] : [`${engineDenied} were the engine's own, which gave nothing`];
  const told = [`${same} of ${decisions} decisions came out the same`, ...denied, ...unreplayed.map(({ count, message }) => `${count}: ${message}`)];
  if (unreplayed.length > 0) return { name, status: 'notEstablished', message: told.join('; ') };
  if (same === 0) return { name, status: 'notEstablished', message: decisions === 0 ? 'no decision to replay' : `no decision of policy's to replay: ${told.join('; ')}` };
  return { name, status: 'holds', message: [`${same} ${same === 1 ? 'decision' : 'decisions'} came out the same`, ...denied].join('; ') };
}

/** What REPLAY takes from the questions themselves. */
export function unprovenByReplay({ counted }: Pick<ReplayFindings, 'counted'>): string {
  return `what policy was told of the time, of the age of facts, of connectors, and of calendars, locks, an extended lease${counted ? '' : ', how often was asked before'} and whether an offboarding was at work at that moment: REPLAY takes it from the recorded question`;
}
