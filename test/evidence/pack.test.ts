import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../ledger/index.ts';
import { cleanStory, type Telling } from '../support/story.ts';
import { ledgerOf, linesOf, verdictOf, verifyStoryPack, type StoryLedger } from '../support/packs.ts';

let ledger: StoryLedger;
let provision: Telling;
let grant: Telling;

beforeAll(async () => {
  const told = cleanStory();
  ({ provision, grant } = told);
  ledger = await ledgerOf([...linesOf(told.beats), 'heads']);
});
afterAll(() => ledger.remove());

const statuses = async (pack: Buffer): Promise<string[]> => (await verifyStoryPack(pack)).verdicts.map(({ name, status }) => `${name} ${status}`);

describe('a pack of a change', () => {
  it('verifies, and shows that its last record is the last', async () => {
    const found = await verifyStoryPack(await ledger.pack({ change: provision.changeId }));
    expect(found.verdicts.map(({ name, status, message }) => `${name} ${status} ${message}`).join('\n')).toContain('COMPLETENESS holds');
    expect(await statuses(await ledger.pack({ change: provision.changeId }))).toEqual([
      'INTEGRITY holds', 'SIGNATURE holds', 'WITNESS notEstablished', 'COMPLETENESS holds', 'WORKFLOW holds', 'TIME notEstablished', 'REPLAY notEstablished', 'NOT PROVEN notEstablished',
    ]);
    expect(exitCodeOf(found.verdicts)).toBe(0);
    expect(found.pack).toMatchObject({ asked: { change: provision.changeId }, changes: [provision.changeId] });
    expect(verdictOf(found, 'WORKFLOW').message).toContain('1 change: 1 closed');
  });

  it('is the same, byte for byte, each time', async () => {
    expect((await ledger.pack({ change: grant.changeId })).equals(await ledger.pack({ change: grant.changeId }))).toBe(true);
  });
});
