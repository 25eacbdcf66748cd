/** What people wrote: committed to in the record, disclosed beside it, and gone where that was erased. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalText, digestOf, exitCodeOf, nodeDisk, parseStrict, readDirectory, type JsonObject } from '../../ledger/index.ts';
import { planPack } from '../../src/evidence/pack-plan.ts';
import { verifyPack } from '../../src/evidence/pack-verify.ts';
import { writePack } from '../../src/evidence/pack-write.ts';
import { revealed } from '../../src/evidence/prose.ts';
import { systemDraft, toEvent, type DraftWithObjects } from '../../src/evidence/record.ts';
import { upcast } from '../../src/evidence/upcast.ts';
import { tellStory } from '../../src/evidence/story.ts';
import { verifyEvidence, type EvidenceVerification } from '../../src/evidence/verify.ts';
import { disclose } from '../../src/protocol/disclosure.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { adoptStory, bothTrusted, type Place } from '../support/adopted-story.ts';
import { ledgerOf, storyBundle, verdictOf, verifyStoryPack, type StoryLedger } from '../support/packs.ts';
import { ROTATE, toldUntilApproved, toldUntilPlanned } from '../support/step-stories.ts';
import { cleanStory, GRANT, PROVISION, salt, sidecar, START_MS, storyTrust, toldUntilActive, toldUntilArmed, toldUntilDecided } from '../support/story.ts';
import { DISCLOSURE_CASES, draftsOf } from './disclosure-cases.ts';
import { reduced, waiting } from './reduction-cases.ts';
import { expectCaught } from './verified.ts';

let ledger: StoryLedger | null = null;
let place: Place | null = null;
afterEach(() => {
  ledger?.remove();
  place?.remove();
  ledger = place = null;
});

const verifyAt = (directory: string): Promise<EvidenceVerification> => verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust: storyTrust(), wholeFolder: true });
const workflowOf = ({ verdicts }: { readonly verdicts: EvidenceVerification['verdicts'] }): EvidenceVerification['verdicts'][number] => verdicts.find(({ name }) => name === 'WORKFLOW')!;
const digestsOf = (drafts: readonly DraftWithObjects[], type: string): string[] => drafts.filter(({ draft }) => draft.type === type).flatMap(({ objects }) => objects.map(digestOf));

describe('what is found out', () => {
  it.each(DISCLOSURE_CASES)('$title: $code', (one) => expectCaught(one, () => cleanStory().beats));
});

describe('a record of what somebody wrote', () => {
  it('has neither the text nor its salt, and a commitment that anybody can make again from the disclosure', () => {
    const told = draftsOf(cleanStory().beats).filter(({ draft }) => ['change.requested', 'approval.recorded'].includes(draft.type));
    expect(told).toHaveLength(5);
    for (const { draft, objects: [object, ...more] } of told) {
      const disclosure = parseStrict(object!) as JsonObject & { readonly name: string; readonly salt: string; readonly value: string };
      const body = canonicalText(draft.body);
      expect([draft.v, more.length, disclosure['kind'], body.includes(disclosure.value), body.includes(disclosure.salt)]).toEqual([2, 0, 'disclosure', false, false]);
      const preimage = `{"name":${JSON.stringify(disclosure.name)},"salt":${JSON.stringify(disclosure.salt)},"value":${JSON.stringify(disclosure.value)}}`;
      expect(body).toContain(`{"commitment":"sha256:${createHash('sha256').update(preimage, 'utf8').digest('hex')}"}`);
    }
  });

  it('is another for the same text: nobody who guesses can see it', () => {
    const [one, other] = [disclose('reason', 'the same', salt(1)), disclose('reason', 'the same', salt(2))];
    expect(one.commitment).not.toEqual(other.commitment);
    expect(Buffer.from(one.object).equals(other.object)).toBe(false);
  });

  it('that an executor is shown is what it always was', () => {
    const shown = draftsOf(cleanStory().beats).filter(({ draft }) => draft.type === 'step.authorised').map(({ draft }) => [draft.body['kind'], draft.v]);
    expect(new Set(shown.map(String))).toEqual(new Set(['read,1', 'act,1', 'revoke,2']));
  });
});

describe('once the disclosures are erased', () => {
  const erasedLedger = async (types: readonly string[]): Promise<{ readonly drafts: readonly DraftWithObjects[]; readonly digests: readonly string[]; readonly seq: number; readonly change: string }> => {
    const told = cleanStory();
    const drafts = [storyBundle(), ...draftsOf(told.beats)];
    const digests = types.flatMap((type) => digestsOf(drafts, type));
    const { commitment, object } = disclose('basis', 'request 17', salt(9));
    const erasure = systemDraft('erasure', { erased: digests, basis: commitment }, 'person:vera', START_MS + 9_000_000, [object]);
    ledger = await ledgerOf([...drafts, erasure, 'heads'], digests);
    return { drafts, digests, seq: drafts.length + 1, change: told.grant.changeId };
  };

  it('the ledger holds; what is gone is listed with the record that it went under, and is not proven', async () => {
    const { digests, seq } = await erasedLedger(['change.requested', 'approval.recorded']);
    const verification = await verifyAt(ledger!.directory);
    expect([workflowOf(verification).status, verification.workflow?.violations, exitCodeOf(verification.verdicts)]).toEqual(['holds', [], 0]);
    expect(verification.workflow?.erasedDisclosures).toBe(5);
    expect(verification.erased).toHaveLength(digests.length);
    expect(new Set(verification.erased.map((one) => `${one.kind} ${one.seq}`))).toEqual(new Set([`disclosure ${seq}`]));
    expect(verification.notProven).toContain('what people wrote in 5 records: erased');
  });

  it('a pack of it says the same', async () => {
    const { change } = await erasedLedger(['change.requested']);
    const found = await verifyStoryPack(await ledger!.pack({ change }));
    expect([exitCodeOf(found.verdicts), verdictOf(found, 'WORKFLOW').status]).toEqual([0, 'holds']);
    expect(found.notProven.join('\n')).toContain('what people wrote in 1 record: erased');
  });

  it('a disclosure that is there beside others that are not is still held to its record', async () => {
    const drafts = draftsOf(cleanStory().beats);
    const [digest] = digestsOf(drafts, 'change.requested');
    const at = drafts.findIndex(({ draft }) => draft.type === 'approval.recorded');
    const other = disclose('comment', 'no such thing', salt(3)).object;
    const lying = drafts.map((one, i) => (i === at ? { draft: { ...one.draft, objects: [digestOf(other)] }, objects: [other] } : one));
    const erasure = systemDraft('erasure', { erased: [digest!], basis: disclose('basis', 'x', salt(9)).commitment }, 'person:vera', START_MS + 9_000_000, [disclose('basis', 'x', salt(9)).object]);
    ledger = await ledgerOf([...lying, erasure], [digest!]);
    expect((await verifyAt(ledger.directory)).workflow?.violations.map(({ code, seq }) => [code, seq])).toEqual([['disclosure-mismatch', at + 1]]);
  });

  it('the story says so, in place of the words', () => {
    const { draft, objects } = draftsOf(cleanStory().beats)[0]!;
    const record = { seq: 3, type: draft.type, at: draft.at, actor: draft.actor, body: draft.body };
    const { commitment } = (draft.body['request'] as { readonly reason: { readonly commitment: string } }).reason;
    const value = (parseStrict(objects[0]!) as { readonly value: string }).value;
    const tellIt = (...disclosures: Parameters<typeof tellStory>[1] & object): string => tellStory([record], disclosures)[0]!.text;
    expect(tellIt({ commitment, text: value, erasedUnder: null })).toMatch(new RegExp(`: “${value}”\\.$`));
    expect(tellIt({ commitment, text: null, erasedUnder: 41 })).toMatch(/; the reason was erased under seq 41\.$/);
    expect(tellIt({ commitment, text: null, erasedUnder: null })).toMatch(/; the reason is not there\.$/);
  });
});

describe('a request that the sidecar has planned anew', () => {
  const window = { calendar: 'nightly', opensAt: formatTime(START_MS + 1_800_000), closesAt: formatTime(START_MS + 3_600_000), onMissed: 'replan' as const, consumers: [] };
  const request = { ...ROTATE, window: { onMissed: 'replan' as const } };
  /** @param isKnown whether the reason is, when it is planned anew */
  const replanned = (isKnown: boolean): DraftWithObjects[] => {
    const telling = toldUntilApproved(toldUntilPlanned(request, START_MS, { window }));
    const { commitment } = (draftsOf(telling.beats)[0]!.draft.body['request'] as { readonly reason: { readonly commitment: string } }).reason;
    telling.atMs = START_MS + 3_600_000;
    if (!isKnown) telling.state = { ...telling.now, request: { ...telling.now.request, reason: { commitment } } };
    return draftsOf(telling.do({ type: 'missWindow', by: sidecar }).beats);
  };
  const verify = async (drafts: readonly DraftWithObjects[], erased: readonly string[]): Promise<EvidenceVerification> => {
    const { commitment, object } = disclose('basis', 'request 17', salt(9));
    ledger = await ledgerOf(erased.length === 0 ? drafts : [...drafts, systemDraft('erasure', { erased: [...erased], basis: commitment }, 'person:vera', START_MS + 9_000_000, [object])], erased);
    return verifyAt(ledger.directory);
  };
  const found = ({ workflow }: EvidenceVerification): unknown => [workflow?.violations.map(({ code, message }) => `${code}: ${message}`), workflow?.erasedDisclosures];

  it.each<[string, readonly string[]]>([['neither', []], ['the first', ['change.requested']], ['the second', ['change.revised']], ['both', ['change.requested', 'change.revised']]])('is the same with %s of the two reasons erased', async (_which, types) => {
    const drafts = replanned(true);
    const erased = types.flatMap((type) => digestsOf(drafts, type));
    expect(erased).toHaveLength(types.length);
    expect(found(await verify(drafts, erased))).toEqual([[], types.length]);
  });

  it('when its reason was known no more repeats the commitment, and is held to that', async () => {
    const drafts = replanned(false);
    const at = drafts.findIndex(({ draft }) => draft.type === 'change.revised');
    expect(drafts[at]!.objects).toEqual([]);
    expect(found(await verify(drafts, digestsOf(drafts, 'change.requested')))).toEqual([[], 2]);
    ledger?.remove();
    const { draft } = drafts[at]!;
    const lying = { draft: { ...draft, body: { ...draft.body, request: { ...(draft.body['request'] as JsonObject), reason: disclose('reason', 'x', salt(5)).commitment } } }, objects: [] };
    expect((await verify(drafts.with(at, lying), digestsOf(drafts, 'change.requested'))).workflow?.violations.map(({ code }) => code)).toEqual(['window-mismatch']);
  });

  it('by an approver who made it less does the same', async () => {
    const telling = waiting();
    const [first] = draftsOf(telling.beats);
    telling.state = { ...telling.now, request: { ...telling.now.request, reason: (first!.draft.body['request'] as { readonly reason: { readonly commitment: string } }).reason } };
    const drafts = draftsOf(reduced(telling).beats);
    const { draft } = drafts.at(-1)!;
    expect(draft).toMatchObject({ type: 'change.revised', v: 3, objects: [] });
    expect(found(await verify(drafts, digestsOf(drafts, 'change.requested')))).toEqual([[], 2]);
    ledger?.remove();
    const lying = { draft: { ...draft, body: { ...draft.body, request: { ...(draft.body['request'] as JsonObject), reason: disclose('reason', 'x', salt(5)).commitment } } }, objects: [] };
    expect((await verify(drafts.with(-1, lying), digestsOf(drafts, 'change.requested'))).workflow?.violations.map(({ code }) => code)).toEqual(['reduction-mismatch']);
  });
});

describe('across logs', () => {
  it('an adopted change brings the words along, and not those that were erased', async () => {
    const told = toldUntilActive(toldUntilArmed(toldUntilDecided(GRANT, START_MS)));
    const gone = toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS + 100_000)));
    const [digest] = digestsOf(draftsOf(gone.beats), 'change.requested');
    place = await adoptStory([...told.beats, ...gone.beats], START_MS + 300_000, { erased: [digest!] });
    const states = await place.states();
    expect(states.get(told.changeId)!.request.reason).toBe(GRANT.reason);
    expect(states.get(gone.changeId)!.request.reason).toEqual({ commitment: expect.stringMatching(/^sha256:/) as string });
    const verification = await verifyEvidence({ disk: nodeDisk(place.at()), directory: 'ledger', trust: bothTrusted(), wholeFolder: true });
    expect([verification.workflow?.violations, verification.workflow?.erasedDisclosures]).toEqual([[], 1]);
  });
});

describe('records from before there were disclosures', () => {
  const golden = join(import.meta.dirname, '../vectors/golden/v1');
  const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as { readonly states: Readonly<Record<string, unknown>> };

  it('have a digest of the request that is read as one which says nothing of its reason', () => {
    const { reason: _reason, ...rest } = GRANT;
    const digest = (request: object): string => digestOf(Buffer.from(canonicalText(request as JsonObject)));
    const idempotency = { key: digest({ key: 'a' }), request: digest(GRANT) };
    const body = { request: GRANT, requester: [GRANT.subject], idempotency } as unknown as JsonObject;
    const record = { v: 1, seq: 0, prev: null, change: 'chg_1', changeSeq: 0, changePrev: null, type: 'change.requested', at: formatTime(START_MS), actor: GRANT.subject, body, objects: [] };
    expect(upcast(record)).toEqual({ ...record, v: 2, body: { ...body, idempotency: { ...idempotency, request: digest(rest) } } });
    for (const odd of [{ request: 'x', idempotency }, { request: GRANT, idempotency: 'x' }, { request: null }, {}] as unknown as JsonObject[]) expect(upcast({ ...record, body: odd }).body).toEqual(odd);
  });

  it('have their text', async () => {
    const source = await readDirectory(nodeDisk(golden), 'ledger');
    let seen = 0;
    for await (const { record } of source.entries(0, source.head.size)) {
      if (record.type !== 'change.requested') continue;
      const event = await toEvent(record, (digest) => source.object(digest));
      if (event.type !== 'change.requested') throw new Error('it was requested');
      seen += 1;
      expect(event.body.request.reason).toBe((record.body['request'] as { readonly reason: string }).reason);
      expect(await revealed(upcast(record), record.v, () => Promise.reject(new Error('there is nothing to read')))).toMatchObject({ prose: null });
    }
    expect(seen).toBeGreaterThan(0);
  });

  it('are packed, and the pack holds', async () => {
    const source = await readDirectory(nodeDisk(golden), 'ledger');
    const trust = await loadTrustFolder(join(golden, 'trust'));
    for (const change of Object.keys(expected.states)) {
      const pieces: Uint8Array[] = [];
      for await (const piece of writePack(source, await planPack(source, { change }))) pieces.push(piece);
      const found = await verifyPack({ pack: Buffer.concat(pieces), trust, wholeFolder: true });
      expect(found.workflow?.violations).toEqual([]);
    }
  });
});
