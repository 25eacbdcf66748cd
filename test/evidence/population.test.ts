/** The list of the changes that WORKFLOW is about says of each what the change itself became. */
import { describe, expect, it } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDisk } from '../../ledger/index.ts';
import { shownState } from '../../src/change/state.ts';
import { csvField, populationCsv, POPULATION_COLUMNS, type PopulationRow } from '../../src/evidence/population.ts';
import { verifyEvidence, type EvidenceVerification, type VerifyEvidenceOptions } from '../../src/evidence/verify.ts';
import { formatTime } from '../../src/protocol/values.ts';
import { cleanStory, START_MS, storyTrust, toldUntilActive, toldUntilArmed, toldUntilDecided, PROVISION, sidecar, writeStory, type Beat, type Telling } from '../support/story.ts';
import { rotation } from '../support/step-stories.ts';

async function listed(beats: readonly Beat[], edit: Partial<VerifyEvidenceOptions> = {}): Promise<EvidenceVerification> {
  const directory = mkdtempSync(join(tmpdir(), 'cs-population-'));
  try {
    await writeStory(directory, beats);
    return await verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust: storyTrust(), wholeFolder: true, listChanges: true, ...edit });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** When the change's first record of a type was made. */
const timeOf = ({ beats }: Telling, type: string): string | null => {
  const beat = beats.find(({ event }) => event.type === type);
  return beat === undefined ? null : formatTime(beat.atMs);
};

describe('the list of changes', () => {
  it('has a row for each, in the order of their first records, and what each became', async () => {
    const { beats, provision, grant, denied } = cleanStory();
    const { population } = await listed(beats);
    const tellings = [provision, grant, denied];
    expect(population?.map(({ change }) => change)).toEqual(tellings.map(({ changeId }) => changeId));
    tellings.forEach((telling, i) => {
      const row = population![i]!;
      expect(row).toMatchObject({
        kind: telling.now.request.kind, subject: telling.now.request.subject, connector: 'pg-main', target: 'app', requester: telling.now.requester, state: shownState(telling.now),
        requestedAt: timeOf(telling, 'change.requested'), effectAt: timeOf(telling, 'step.succeeded'), endedAt: timeOf(telling, 'lease.ended'),
        endsAt: telling.now.lease === null ? null : formatTime(telling.now.lease.endsAtMs),
        approvers: telling.beats.some(({ event }) => event.type === 'approval.recorded') ? ['person:ana'] : [],
      });
    });
    expect(population!.map(({ state }) => state)).toEqual(['revoked', 'revoked', 'denied']);
    expect(population!.map(({ record }) => record)).toEqual([...population!].map(({ record }) => record).sort((a, b) => a - b));
  });

  it('has those that are open, too', async () => {
    const { population } = await listed(toldUntilActive(toldUntilArmed(toldUntilDecided(PROVISION, START_MS))).beats);
    expect(population).toMatchObject([{ state: 'active', endedAt: null, approvers: ['person:ana'], privileges: ['table:public.orders:SELECT'] }]);
  });

  it('keeps who approved a rotation, which is forgotten once that is over', async () => {
    const telling = rotation();
    telling.later(1_000).force({ type: 'notification.delivered', actor: sidecar, body: { webhook: 'pager', event: 'approval.requested', about: 2, attempts: 1 } });
    const { population } = await listed(telling.beats);
    expect(population).toMatchObject([{ kind: 'rotate', state: 'done', approvers: ['person:ana'] }]);
  });

  it('is not given where nobody asked, and where no change was followed', async () => {
    const { beats } = cleanStory();
    expect((await listed(beats, { listChanges: false })).population).toBeNull();
    expect((await listed(beats, { trust: null })).population).toBeNull();
    expect((await listed(beats, { wholeFolder: false })).population).toBeNull();
  });
});

describe('the list as CSV', () => {
  const row: PopulationRow = {
    change: 'chg_1', kind: 'grant', subject: 'nhi:prod/a', connector: '@SUM(A1)', target: '-2+3', privileges: ['=1+1', 'x'], requester: ['nhi:prod/a', 'person:b'], approvers: [],
    requestedAt: '2026-11-23T19:05:00.000Z', effectAt: null, endsAt: null, endedAt: null, state: 'denied', record: 7,
  };

  it('has a header, a line a change, and every field between quotes', () => {
    expect(populationCsv([row])).toBe(
      `${POPULATION_COLUMNS.map((name) => `"${name}"`).join(',')}\r\n`
      + '"chg_1","grant","nhi:prod/a","\'@SUM(A1)","\'-2+3","\'=1+1 x","nhi:prod/a person:b","","2026-11-23T19:05:00.000Z","","","","denied","7"\r\n',
    );
  });

  it.each(['=a', '+a', '-a', '@a', '\ta', '\ra', '\na'])('never begins a cell like a formula: %j', (text) => {
    expect(csvField(text)).toBe(`"'${text}"`);
  });

  it('doubles a quote, and leaves line ends and commas inside', () => {
    expect(csvField('a "b", c\r\nd')).toBe('"a ""b"", c\r\nd"');
  });
});
