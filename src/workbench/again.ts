/** Recorded decisions asked again of a policy that one has oneself: nothing of the ledger is run. */
import type { Pdp } from '../pdp/engine.ts';
import { askPolicy, isStopped } from './ask.ts';
import { atOnce } from './at-once.ts';
import type { NotAsked, Recorded } from './recorded.ts';

export interface AskedAgain {
  readonly decisions: number;
  readonly same: number;
  readonly differing: number;
  /** The first of those that differ. */
  readonly kept: readonly { readonly seq: number; readonly changeId: string | null; readonly message: string }[];
  /** Denials of the engine's own, which are no answers of policy's. */
  readonly engineDenied: number;
  /** How many could not be asked again, by why: `otherBundle` was decided by another policy than this. */
  readonly unreplayed: Readonly<Partial<Record<NotAgain, number>>>;
}

export type NotAgain = Exclude<NotAsked, 'engine'> | 'otherBundle' | 'stopped';

const KEPT_MAX = 100;

export async function askAgain(pdp: Pdp, recorded: AsyncIterable<Recorded>, asked: number): Promise<AskedAgain> {
  const kept: { seq: number; changeId: string | null; message: string }[] = [];
  const unreplayed: Partial<Record<NotAgain, number>> = {};
  let [decisions, same, engineDenied, differing] = [0, 0, 0, 0];
  const without = (why: NotAgain): void => void (unreplayed[why] = (unreplayed[why] ?? 0) + 1);
  await atOnce(recorded, asked, async (one) => {
    decisions += 1;
    if (one.is === 'engine') return void (engineDenied += 1);
    if (one.is !== 'question') return without(one.is);
    const { bundle, changeId, compare, entrypoint, input, seq } = one.question;
    if (bundle !== pdp.bundle) return without('otherBundle');
    const answer = await askPolicy(pdp, entrypoint, input);
    if (!answer.ok && isStopped(answer.fault)) return without('stopped');
    const found = answer.ok ? compare(answer.value) : `policy gives no answer (${answer.fault}) where one is recorded`;
    if (found === null) return void (same += 1);
    differing += 1;
    kept.push({ seq, changeId, message: found });
  });
  return { decisions, same, differing, kept: kept.sort((a, b) => a.seq - b.seq).slice(0, KEPT_MAX), engineDenied, unreplayed };
}
