/**
 * The oracle's part about keys that end:
 *
 * 24. no approval is taken by a key that has ended, and nothing begins on one whose key has; one that counts no more is on record as that, for good, and no
 *     other is; nothing begins on what is.
 *
 * Ends are those that were drawn for the run, and times those of the durable records.
 */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../../src/change/events.ts';
import type { Approval } from '../../src/protocol/signed.ts';
import type { LedgerView } from './ledger-view.ts';
import type { World } from './world.ts';

type Body<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>['body'];

export interface KeysOracle {
  /** After every event: what has become durable. */
  check(): void;
  readonly seen: Record<string, number>;
}

/** What is on record of one change. */
interface Known {
  /** Those that count, by id. */
  readonly counted: Map<string, Approval>;
  readonly gone: Set<string>;
  hasBegun: boolean;
  /** Something has counted no more, and nothing had been authorised. */
  isAskedAgain: boolean;
}

export function createKeysOracle(world: World, view: LedgerView, broken: (invariant: number, message: string) => void): KeysOracle {
  const seen: Record<string, number> = {};
  const count = (what: string): void => void (seen[what] = (seen[what] ?? 0) + 1);
  const changes = new Map<string, Known>();
  let read = 0;
  const hasEnded = ({ proofClass, envelope }: Approval, at: string): boolean => proofClass !== 'session' && Date.parse(at) >= world.signing.endOf(envelope);

  const take = (record: LedgerRecord): void => {
    const { type, body, seq, at, change } = record;
    if (change === null) return;
    const known = changes.get(change) ?? { counted: new Map<string, Approval>(), gone: new Set<string>(), hasBegun: false, isAskedAgain: false };
    changes.set(change, known);
    if (type === 'approval.recorded') {
      const { approval } = body as Body<'approval.recorded'>;
      if (hasEnded(approval, at)) broken(24, `record ${seq} takes an approval by a key that has ended`);
      known.counted.set(approval.approvalId, approval);
      known.gone.delete(approval.approvalId);
      if (world.signing.keysEnd && approval.proofClass === 'ssh') count('approved by a key that ends');
      if (known.isAskedAgain) count('approved again after a key has ended');
    }
    if (type === 'policy.decided') takeUncounted(record, known, (body as Body<'policy.decided'>).uncounted ?? []);
    const authorised = body as Body<'step.authorised'>;
    if (type !== 'step.authorised' || authorised.kind !== 'act') return;
    for (const approvalId of authorised.approvals) {
      const approval = known.counted.get(approvalId);
      if (known.gone.has(approvalId)) broken(24, `record ${seq} authorises a step on ${approvalId}, which counts no more`);
      // What has begun goes on under its approvals.
      else if (isFirst(authorised.stepId) && approval !== undefined && hasEnded(approval, at)) broken(24, `record ${seq} authorises a step on ${approvalId}, whose key has ended`);
    }
    if (known.isAskedAgain) count('authorised again after a key has ended');
    known.isAskedAgain = false;
    known.hasBegun = true;
  };
  const takeUncounted = ({ seq, at }: LedgerRecord, known: Known, uncounted: readonly string[]): void => {
    for (const approvalId of uncounted) {
      const approval = known.counted.get(approvalId);
      if (approval === undefined) {
        broken(24, `record ${seq} says that ${approvalId} counts no more, which did not`);
        continue;
      }
      // Where an executor takes no use of a standing approval, `standing-oracle.ts` knows it.
      if (!hasEnded(approval, at) && approval.use === undefined) broken(24, `record ${seq} says that ${approvalId} counts no more, and its key is good`);
      count(approval.use === undefined ? 'approval uncounted' : 'standing uncounted');
      known.counted.delete(approvalId);
      known.gone.add(approvalId);
      if (known.hasBegun) count('uncounted after a ticket ran out');
      else known.isAskedAgain = true;
    }
  };

  return {
    seen,
    check() {
      const records = view.records();
      for (; read < records.length; read += 1) take(records[read]!);
    },
  };
}

const isFirst = (stepId: string): boolean => stepId.endsWith('_1');
