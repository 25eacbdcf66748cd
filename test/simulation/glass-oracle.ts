/**
 * The oracle's part about broken glasses:
 *
 * 23. what stands for the approvals is signed by the very person, whom the floor names, for this plan and in its time; it gives no longer than the floor
 *     says; whoever owes a review or a rotation that is overdue breaks no other; and what nobody has done in time, and nothing else, is what a verifier says.
 *
 * All is read off the durable records, by none of the program's folds.
 */
import type { LedgerRecord } from '../../ledger/index.ts';
import type { ChangeEvent } from '../../src/change/events.ts';
import { breakGlassDigest, openBreakGlass } from '../../src/protocol/break-glass.ts';
import type { Plan } from '../../src/protocol/plan.ts';
import { GLASS_FLOOR } from './fixtures.ts';
import type { LedgerView } from './ledger-view.ts';
import type { World } from './world.ts';

type Body<T extends ChangeEvent['type']> = Extract<ChangeEvent, { type: T }>['body'];

export interface GlassOracle {
  /** After every event: what has become durable. */
  check(): void;
  /** Access was given under the glass of this digest. @param authorised the record of its step */
  given(token: string, digest: string, plan: Plan, planDigest: string, authorised: LedgerRecord): void;
  /** What nobody has done by the time of the last record, each as `code change`. */
  undone(): string[];
  readonly seen: Record<string, number>;
}

interface Glass {
  readonly digest: string;
  readonly usedBy: string;
  readonly planDigest: string;
  readonly untilMs: number;
  /** When the key that has signed it ends. */
  readonly keyEndsMs: number;
  readonly reviewByMs: number;
  readonly rotateWithinMs: number | null;
  isReviewed: boolean;
  isLent: boolean;
  rotateByMs: number | null;
}

export function createGlassOracle(world: World, view: LedgerView, broken: (invariant: number, message: string) => void): GlassOracle {
  const seen: Record<string, number> = {};
  const count = (what: string): void => void (seen[what] = (seen[what] ?? 0) + 1);
  const glasses = new Map<string, Glass>();
  let read = 0;
  const owedWhere = (isOverdue: (byMs: number) => boolean): { readonly change: string; readonly code: string; readonly usedBy: string }[] => [...glasses].flatMap(([change, { usedBy, isReviewed, reviewByMs, rotateByMs }]) => [
    ...(!isReviewed && isOverdue(reviewByMs) ? [{ change, code: 'review-overdue', usedBy }] : []), ...(rotateByMs !== null && isOverdue(rotateByMs) ? [{ change, code: 'rotation-overdue', usedBy }] : []),
  ]);

  const take = (record: LedgerRecord): void => {
    const { type, change, seq } = record;
    const glass = glasses.get(change ?? '');
    const atMs = Date.parse(record.at);
    if (type === 'breakglass.used') return takeUse(record, atMs);
    if (glass === undefined) return;
    switch (type) {
      case 'breakglass.reviewed': {
        if (record.actor === glass.usedBy) broken(23, `record ${seq}: ${glass.usedBy} reviewed a glass that they broke`);
        const { rotation } = record.body as Body<'breakglass.reviewed'>;
        if (!glass.isReviewed) count(atMs > glass.reviewByMs ? 'glass reviewed late' : 'glass reviewed');
        glass.isReviewed = true;
        if (rotation === undefined) break;
        count('glass rotation not needed');
        glass.rotateByMs = null;
        break;
      }
      case 'breakglass.rotated':
        count('glass rotated');
        glass.rotateByMs = null;
        break;
      case 'step.authorised':
        glass.isLent ||= glass.rotateWithinMs !== null && record.body['breakGlass'] === glass.digest;
        break;
      case 'lease.ended':
        if (glass.isLent) glass.rotateByMs = atMs + glass.rotateWithinMs!;
        break;
      case 'finding.opened':
        if (['review-overdue', 'rotation-overdue'].includes(record.body['code'] as string)) count(`glass ${record.body['code'] as string}`);
    }
  };
  const takeUse = ({ seq, body, change, actor }: LedgerRecord, atMs: number): void => {
    const { statement, reviewBy, rotateWithinSeconds } = body as Body<'breakglass.used'>;
    const { usedBy, planDigest, changeId, expiresAt } = openBreakGlass(statement, { signers: world.trust.signers, atMs });
    if (actor !== usedBy || changeId !== change) broken(23, `record ${seq}: ${actor} broke the glass for ${change ?? 'nothing'}, by what ${usedBy} signed for ${changeId}`);
    if (!GLASS_FLOOR.people.includes(usedBy)) broken(23, `record ${seq}: ${usedBy} broke the glass, whom no floor names`);
    if (Date.parse(reviewBy) > atMs + GLASS_FLOOR.reviewWithinSeconds * 1000) broken(23, `record ${seq}: the review is due at ${reviewBy}, later than the floor says`);
    const owed = owedWhere((byMs) => atMs >= byMs).find((one) => one.usedBy === usedBy);
    if (owed !== undefined) broken(23, `record ${seq}: ${usedBy} broke another glass, and ${owed.change} is ${owed.code}`);
    glasses.set(change!, {
      digest: breakGlassDigest(statement), usedBy, planDigest, untilMs: Date.parse(expiresAt), keyEndsMs: world.signing.endOf(statement), reviewByMs: Date.parse(reviewBy), rotateWithinMs: rotateWithinSeconds === undefined ? null : rotateWithinSeconds * 1000, isReviewed: false, isLent: false, rotateByMs: null,
    });
    count('glass broken');
  };
  const check = (): void => {
    const records = view.records();
    for (; read < records.length; read += 1) take(records[read]!);
  };

  return {
    seen, check,
    given(token, digest, plan, planDigest, authorised) {
      check();
      count('given under glass');
      const glass = glasses.get(plan.changeId);
      if (glass?.digest !== digest || glass.planDigest !== planDigest) return broken(23, `${token}: given under a broken glass that is about another plan, or none`);
      if (Date.parse(authorised.at) >= glass.untilMs) broken(23, `${token}: given under a broken glass that was good no more`);
      if (Date.parse(authorised.at) >= glass.keyEndsMs) broken(23, `${token}: given under a broken glass by a key that had ended`);
      const { lease } = authorised.body as { readonly lease: { readonly endsAt: string } | null };
      const longestMs = GLASS_FLOOR.maxLeaseSeconds * 1000;
      if (lease === null || Date.parse(lease.endsAt) > Date.parse(authorised.at) + longestMs) broken(23, `${token}: given under a broken glass until ${lease?.endsAt ?? 'ever'}, longer than the floor says`);
    },
    undone() {
      check();
      const lastMs = Date.parse(view.records().at(-1)?.at ?? '1970-01-01T00:00:00.000Z');
      return owedWhere((byMs) => lastMs > byMs).map(({ change, code }) => `${code} ${change}`);
    },
  };
}
