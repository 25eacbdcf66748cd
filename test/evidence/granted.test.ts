/**
 * Exceptions and scopes under observe that the auditor has people grant: whoever has the sidecar's keys and writes the facts can put anything there, and
 * what people must have signed stays theirs.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { canonicalBytes, digestOf } from '../../ledger/index.ts';
import { systemDraft, type DraftWithObjects } from '../../src/evidence/record.ts';
import type { ExceptionsFile } from '../../src/facts/exceptions.ts';
import type { Decision } from '../../src/protocol/decision.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { exampleFacts } from '../pdp/support.ts';
import { signedBy } from '../support/granted.ts';
import { ledgerOf, linesOf, storyBundle, verdictOf, verifyStoryPack, withoutRecords, type StoryLedger } from '../support/packs.ts';
import { testSshKey } from '../support/ssh.ts';
import { ANA, decision, GRANT, ORIGIN, salt, sidecar, START_MS, storyTrust, Telling, toldUntilActive, toldUntilArmed, toldUntilDecided, type Beat, type TrustEdit } from '../support/story.ts';
import { ended, observedDecision, SCOPE, toldUnderObserve, UNTIL } from './observe-cases.ts';
import { verified, workflowOf } from './verified.ts';

type Exception = ExceptionsFile['exceptions'][number];

const DAY_MS = 86_400_000;
const { value } = await exampleFacts();
const [OLGA, SAM] = ['person:olga', 'person:sam'] as const;
const [olga, sam, stranger] = [testSshKey(), testSshKey('sk-ssh-ed25519@openssh.com'), testSshKey()];
const exceptionGrants = { quorum: 2, approvers: [OLGA, SAM] };
const SIGNERS = `${OLGA} ${olga.publicLine}\n${SAM} ${sam.publicLine}\n`;

const plain: Exception = { id: 'deploy-excess', rule: 'exceeds-purpose', subject: GRANT.subject, reason: 'until the deploy is cut in two', owner: 'person:ben', from: '2026-11-01', until: '2026-12-20' };
const granted = signedBy('exception', plain, { [OLGA]: olga, [SAM]: sam });

function loaded(file: object | undefined, atMs = START_MS): { readonly digest: string; readonly draft: DraftWithObjects } {
  const bytes = canonicalBytes({ v: 1, salt: salt(7), kind: 'facts', value: { ...value, ...(file === undefined ? {} : { exceptions: { v: 1, exceptions: [], ...file } }) } });
  return { digest: digestOf(bytes), draft: systemDraft('facts.loaded', { facts: digestOf(bytes) }, sidecar, atMs, [bytes]) };
}
const excepted = ({ id, rule, owner, until }: Exception = plain): Decision => ({ ...decision('needsApproval', ANA), exceptions: [{ id, rule, owner, until: `${until}T00:00:00.000Z` }] });
/** A grant that policy let through by these exceptions, on facts with this digest. */
const told = (facts: string, said = excepted(), atMs = START_MS): readonly Beat[] =>
  toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, atMs, 'needsApproval', new Telling(atMs), said, [facts]), said, [facts])).beats;

interface Told extends TrustEdit {
  readonly said?: Decision;
  readonly atMs?: number;
  readonly before?: readonly DraftWithObjects[];
}
async function found(exceptions: readonly Exception[], { said, atMs = START_MS, before = [], ...edit }: Told = {}): Promise<readonly string[]> {
  const facts = loaded({ exceptions }, atMs);
  const { workflow } = await verified(told(facts.digest, said, atMs), { exceptionGrants, signers: SIGNERS, ...edit }, { first: [...before, facts.draft] });
  return [...new Set(workflow!.violations.map(({ code }) => code))];
}

it('what those who are asked have signed lets a change through', async () => {
  expect(await found([granted])).toEqual([]);
  expect(await found([{ ...granted, until: '2026-12-01' }], { said: excepted({ ...plain, until: '2026-12-01' }) })).toEqual([]);
});

it('where the auditor asks nobody, nothing is asked of any entry', async () => {
  const facts = loaded({ exceptions: [plain] });
  expect(workflowOf(await verified(told(facts.digest), {}, { first: [facts.draft] })).status).toBe('holds');
  // Nor of a decision whose facts nobody has.
  expect(workflowOf(await verified(told(digestOf(Buffer.from('none'))))).status).toBe('holds');
});

it('nor of what was decided before the time from which the auditor asks; which is told by the latest record, whatever a later one says', async () => {
  const from = formatTime(START_MS + DAY_MS);
  expect(await found([plain], { exceptionGrants: { ...exceptionGrants, from } })).toEqual([]);
  const later = systemDraft('ledger.opened', { origin: ORIGIN, epoch: 2, version: '0.1.0' }, sidecar, START_MS + DAY_MS);
  expect(await found([plain], { exceptionGrants: { ...exceptionGrants, from }, before: [later] })).toContain('exception-ungranted');
});

it('what policy denied rests on nothing', async () => {
  const facts = loaded({ exceptions: [plain] });
  const denied: Decision = { ...decision('deny'), exceptions: excepted().exceptions! };
  const { workflow } = await verified(toldUntilDecided(GRANT, START_MS, 'deny', new Telling(START_MS), denied, [facts.digest]).beats, { exceptionGrants, signers: SIGNERS }, { first: [facts.draft] });
  expect(workflow!.violations).toEqual([]);
});

describe('whoever has the sidecar’s keys and the facts files grants nothing', () => {
  const bySam = signedBy('exception', plain, { [SAM]: sam });
  it.each<[string, readonly Exception[], Decision?]>([
    ['by writing an entry', [plain]],
    ['with one of those who are asked', [bySam]],
    ['with a key of its own in her name', [signedBy('exception', bySam, { [OLGA]: stranger })]],
    ['by another rule in an entry that was granted', [{ ...granted, rule: 'lease-too-long' }], excepted({ ...plain, rule: 'lease-too-long' })],
    ['by a later end of an entry that was granted', [{ ...granted, until: '2026-12-21' }], excepted({ ...plain, until: '2026-12-21' })],
    ['by naming an entry that is in no facts', []],
    ['by an entry for another identity', [signedBy('exception', { ...plain, subject: 'nhi:prod/freight-sync' }, { [OLGA]: olga, [SAM]: sam })]],
    ['by saying another rule than the entry’s', [granted], excepted({ ...plain, rule: 'lease-too-long' })],
    ['by saying another owner than the entry’s', [granted], excepted({ ...plain, owner: 'person:wei' })],
    ['by saying another end than the entry’s', [granted], excepted({ ...plain, until: '2026-12-19' })],
    ['by an entry that has not begun', [signedBy('exception', { ...plain, from: '2026-11-24' }, { [OLGA]: olga, [SAM]: sam })]],
    ['by an entry that is over', [signedBy('exception', { ...plain, until: '2026-11-23' }, { [OLGA]: olga, [SAM]: sam })], excepted({ ...plain, until: '2026-11-23' })],
    ['by an entry that one of those who are asked has for herself', [signedBy('exception', { ...plain, owner: OLGA }, { [OLGA]: olga, [SAM]: sam })], excepted({ ...plain, owner: OLGA })],
    ['by a second exception behind one that was granted', [granted, { ...plain, id: 'another' }], { ...excepted(), exceptions: [...excepted().exceptions!, ...excepted({ ...plain, id: 'another' }).exceptions!] }],
  ])('%s', async (_how, exceptions, said) => {
    expect(await found(exceptions, said === undefined ? {} : { said })).toEqual(['exception-ungranted']);
  });

  it('by facts that were not loaded, that others had replaced, or that are none', async () => {
    const codes = async (first: readonly DraftWithObjects[], digest: string): Promise<readonly string[]> => {
      const { workflow } = await verified(told(digest), { exceptionGrants, signers: SIGNERS }, { first });
      return [...new Set(workflow!.violations.map(({ code }) => code))];
    };
    const facts = loaded({ exceptions: [granted] }, START_MS - 120_000);
    expect(await codes([facts.draft], facts.digest)).toEqual([]);
    expect(await codes([], facts.digest)).toEqual(['exception-ungranted']);
    expect(await codes([facts.draft, loaded({}, START_MS - 90_000).draft], facts.digest)).toEqual(['exception-ungranted']);
    const none = loaded({ exceptions: 'none' });
    expect(await codes([none.draft], none.digest)).toEqual(['exception-ungranted']);
    const without = loaded(undefined);
    expect(await codes([without.draft], without.digest)).toEqual(['exception-ungranted']);
  });

  it('after a key had ended, though the records are dated back to when it had not', async () => {
    const signers = `${OLGA} valid-before="202611240000Z" ${olga.publicLine}\n${SAM} ${sam.publicLine}\n`;
    const opened = (afterMs: number): DraftWithObjects => systemDraft('ledger.opened', { origin: ORIGIN, epoch: 2, version: '0.1.0' }, sidecar, START_MS + afterMs);
    expect(await found([granted], { signers })).toEqual([]);
    expect(await found([granted], { signers, atMs: START_MS + DAY_MS })).toEqual(['exception-ungranted']);
    expect(await found([granted], { signers, before: [opened(20 * DAY_MS)] })).toContain('exception-ungranted');
    // A clock that was an hour ahead and is right again is no lie.
    expect(await found([granted], { signers, before: [opened(3_600_000)] })).not.toContain('exception-ungranted');
  });
});

describe('a scope under observe', () => {
  const codes = async (observe: readonly object[], edit: TrustEdit = {}): Promise<readonly string[]> => {
    const facts = loaded({ observe });
    const { workflow } = await verified(ended(toldUnderObserve(facts.digest)), { quorum: 0, exceptionGrants, signers: SIGNERS, ...edit }, { first: [facts.draft] });
    return [...new Set(workflow!.violations.map(({ code }) => code))];
  };
  const scope = signedBy('observe', SCOPE, { [OLGA]: olga, [SAM]: sam });

  it('holds where it was granted', async () => {
    expect(await codes([scope])).toEqual([]);
  });
  it.each<[string, readonly object[]]>([
    ['nobody signed', [SCOPE]],
    ['one alone signed', [signedBy('observe', SCOPE, { [OLGA]: olga })]],
    ['is wider than what was signed', [{ ...scope, environments: ['prod', 'dev'] }]],
    ['was signed as an exception', [signedBy('exception', SCOPE, { [OLGA]: olga, [SAM]: sam })]],
    ['nobody signed, behind one of the same id that is over', [signedBy('observe', { ...SCOPE, from: '2026-10-01', until: '2026-10-31' }, { [OLGA]: olga, [SAM]: sam }), SCOPE]],
  ])('that %s is found', async (_what, observe) => {
    expect(await codes(observe)).toEqual(['exception-ungranted']);
  });
  it('is asked after by nobody else', async () => {
    const facts = loaded({ observe: [SCOPE] });
    const verification = await verified(ended(toldUnderObserve(facts.digest)), { quorum: 0 }, { first: [facts.draft], acceptObserved: true });
    expect(workflowOf(verification)).toMatchObject({ status: 'holds' });
    expect(observedDecision().observed!.until).toBe(UNTIL);
  });
});

describe('a pack', () => {
  it('says who granted, or that it does not show the facts: then WORKFLOW is not established', async () => {
    const ledgers: StoryLedger[] = [];
    onTestFinished(() => ledgers.forEach((ledger) => ledger.remove()));
    const verdictOn = async (exceptions: readonly Exception[], shown: boolean) => {
      const facts = loaded({ exceptions });
      const beats = told(facts.digest);
      const ledger = await ledgerOf([storyBundle(), facts.draft, ...linesOf(beats), 'heads']);
      ledgers.push(ledger);
      const pack = await ledger.pack({ change: beats[0]!.changeId });
      return verdictOf(await verifyStoryPack(shown ? pack : withoutRecords(pack, 'facts.loaded'), { trust: storyTrust({ exceptionGrants, signers: SIGNERS }) }), 'WORKFLOW');
    };
    expect(await verdictOn([granted], true)).toMatchObject({ status: 'holds' });
    expect(await verdictOn([plain], true)).toMatchObject({ status: 'fails', message: expect.stringContaining('exception-ungranted') as string });
    expect(await verdictOn([plain], false)).toMatchObject({ status: 'notEstablished', message: expect.stringContaining('it cannot be checked who granted it') as string });
  });
});
