/** People who approve beforehand what is asked for again and again, and take that back; and those who ask, for what is within and for what is not. All seeded. */
import { canonicalBytes, logIdOf } from '../../ledger/index.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import type { ChangeRequest } from '../../src/protocol/request.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import { STANDING_NAMESPACE, type StandingStatement } from '../../src/protocol/standing-approval.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { RECIPIENT } from './actors.ts';
import { askOf } from './asking.ts';
import { ORIGIN } from './fixtures.ts';
import type { Oracle } from './oracle.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

const REASON = 'every release is granted the same';
const DEPLOYER = { subject: 'nhi:prod/ci-deployer', connector: 'pg-main', target: 'app', accounts: ['ci_deployer'], privileges: ['role:deploy'] };
const PREVIEW = { subject: 'nhi:dev/report-preview', connector: 'pg-dev', target: 'app_dev', accounts: ['report_preview'], privileges: ['table:public.orders:SELECT', 'table:public.orders:UPDATE'] };

/** Who answers for what; the last of each is asked by some bundles alone. */
const SIGNED: readonly { readonly by: readonly string[]; readonly about: typeof DEPLOYER }[] = [
  { by: ['person:wei', 'person:ben', 'person:olga'], about: DEPLOYER }, { by: ['person:wei', 'person:ben'], about: DEPLOYER }, { by: ['person:ana', 'person:olga'], about: PREVIEW },
];
const KINDS: readonly StandingStatement['kinds'][] = [['grant'], ['grant', 'extend'], ['grant', 'extend', 'rotate']];

/** A grant of this, by whoever asks: of a privilege less, of another identity's, or by one of those who approve, too. */
const REQUESTS: readonly { readonly requester: readonly string[]; readonly request: (duration: string) => ChangeRequest }[] = [
  { requester: [DEPLOYER.subject], request: (duration) => granted(DEPLOYER, 'deploy-orders', duration) },
  { requester: [DEPLOYER.subject], request: (duration) => granted(DEPLOYER, 'deploy-orders', duration) },
  { requester: [DEPLOYER.subject, 'person:wei'], request: (duration) => granted(DEPLOYER, 'deploy-orders', duration) },
  { requester: [PREVIEW.subject], request: (duration) => granted(PREVIEW, 'preview-reports', duration) },
  { requester: [PREVIEW.subject], request: (duration) => granted({ ...PREVIEW, privileges: ['table:public.orders:UPDATE'] }, 'preview-reports', duration) },
];

function granted({ subject, connector, target, privileges }: typeof DEPLOYER, purpose: string, duration: string): ChangeRequest {
  return { kind: 'grant', subject, purpose, reason: 'as every time', duration, entitlements: privileges.map((privilege) => ({ connector, target, privilege })) };
}

/** Sets them to work until `untilMs`. @param isLavish they give more, for longer, and are asked more often */
export function startStandingActors(world: World, rng: Rng, oracle: Oracle, untilMs: number, isLavish: boolean): void {
  const { scheduler } = world;
  const ask = askOf(world);
  const lastsMs = untilMs - scheduler.nowMs();
  const broken = (message: string): void => oracle.broken(22, message);

  const give = (): void => {
    const { by, about } = rng.pick(SIGNED);
    const approver = rng.pick(by);
    const nowMs = scheduler.nowMs();
    const salt = Buffer.from(rng.bytes(16)).toString('base64url');
    const statement: StandingStatement = {
      v: 1, log: logIdOf(ORIGIN), approver, ...about, kinds: rng.pick(KINDS), recipients: [RECIPIENT], maxLeaseSeconds: isLavish ? 300 : rng.pick([30, 60, 300]), uses: isLavish ? 9 : rng.between(1, 4),
      notBefore: formatTime(nowMs + rng.pick([-60_000, -60_000, 10_000])), expiresAt: formatTime(nowMs + rng.pick(isLavish ? [86_400_000] : [20_000, 120_000, 86_400_000])), reason: commitmentTo({ name: 'reason', salt, value: REASON }),
    };
    const signedBy = (who: string): string => writeArmour(world.signing.keyOf(who, nowMs).sign(canonicalBytes(statement), { namespace: STANDING_NAMESPACE }));
    const proof = { ssh: signedBy(approver) };
    // By her session, and by another's key; and by another's session, with her signature.
    const forger = rng.pick(['person:mallory', 'person:sam']);
    if (rng.chance(0.3)) void ask((engine) => engine.giveStanding(approver, { statement, reason: REASON, salt, proof: { ssh: signedBy(forger) } })).then((answer) => answer?.ok === true && broken(`${forger} signed a standing approval of ${approver}, and it was taken`));
    if (rng.chance(0.3)) void ask((engine) => engine.giveStanding(forger, { statement, reason: REASON, salt, proof })).then((answer) => answer?.ok === true && broken(`${forger} gave a standing approval of ${approver}`));
    const insist = async (): Promise<void> => {
      const answer = await ask((engine) => engine.giveStanding(approver, { statement, reason: REASON, salt, proof }));
      if (answer === undefined) return void scheduler.after(rng.between(200, 4_000), 'a standing approval is given again', () => void insist());
      if (!answer.ok) return;
      const { approvalId } = answer.value;
      scheduler.trace(`${approver} gave a standing approval: ${approvalId}`);
      if (rng.chance(isLavish ? 0.2 : 0.6)) scheduler.after(rng.between(0, 60_000), 'a standing approval is revoked', () => void revoke(approvalId, rng.pick([approver, 'person:sam', 'person:olga'])));
      if (rng.chance(0.2)) void ask((engine) => engine.revokeStanding('person:mallory', approvalId, null)).then((refused) => refused?.ok === true && broken('somebody who may not revoked a standing approval'));
    };
    void insist();
  };
  const revoke = async (approvalId: string, by: string): Promise<void> => {
    const answer = await ask((engine) => engine.revokeStanding(by, approvalId, null));
    if (answer === undefined) return void scheduler.after(rng.between(200, 4_000), 'a standing approval is revoked again', () => void revoke(approvalId, by));
    // What is over and forgotten needs none.
    if (!answer.ok && answer.code !== 'no-such-standing-approval') broken(`${by} may revoke ${approvalId}, and was told ${answer.code}: ${answer.message}`);
    else scheduler.trace(`${by} revoked ${approvalId}`);
  };

  for (let left = rng.between(1, 4); left > 0; left -= 1) scheduler.after(rng.between(0, isLavish ? 20_000 : lastsMs / 2), 'a standing approval is given', give);
  for (let left = isLavish ? 9 : rng.between(3, 7); left > 0; left -= 1) {
    const { requester, request } = rng.pick(REQUESTS);
    scheduler.after(rng.between(0, lastsMs - 20_000), 'a request as every time', () => void ask((engine) => engine.request(requester, request(`PT${rng.between(10, 70)}S`), null)));
  }
}
