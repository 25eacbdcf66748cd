/** REPLAY of an evidence pack: the bundle, the facts and the questions come along, and are asked again as those of the whole ledger are. */
import { describe, expect, it } from 'vitest';
import type { Pdp } from '../../src/pdp/engine.ts';
import { EXCESS, PREVIEW, settled, tell, usualPdp, verdictOf, type Told } from '../support/replayed.ts';
import { GRANT, type TestSidecar } from '../support/sidecar.ts';

const preview = async (sidecar: TestSidecar): Promise<void> => {
  await settled(sidecar, PREVIEW.subject, await sidecar.change(PREVIEW.subject, PREVIEW), 'active');
};
/** The change of it that asked for something. */
async function changeOf(told: Told, subject: string): Promise<string> {
  for await (const { record } of (await told.open()).entries(0)) if (record.type === 'change.requested' && JSON.stringify(record.body).includes(subject)) return record.change!;
  throw new Error('no such change');
}

describe('an evidence pack', () => {
  it('has its decisions come out the same', async () => {
    const told = await tell(await usualPdp(), preview);
    const verification = await told.verifyPackOf({ change: await changeOf(told, PREVIEW.subject) });
    expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'holds', message: expect.stringMatching(/^\d decisions came out the same$/) as string });
    expect(verdictOf(verification, 'WORKFLOW').status).toBe('holds');
    expect(verification.replay!.same).toBeGreaterThanOrEqual(3);
    expect(verification.notProven.join('; ')).toContain('what policy was told of the time');
  });

  it('gives away a yes that was recorded where policy says no', async () => {
    const real = await usualPdp();
    const lying: Pdp = {
      ...real,
      decide: async (input) => {
        const answer = await real.decide(input);
        return answer.effect === 'deny' ? { ...answer, effect: 'needsApproval', obligations: { ...answer.obligations, approvers: 'person:wei' } } : answer;
      },
    };
    const told = await tell(lying, async (sidecar) => {
      await settled(sidecar, GRANT.subject, await sidecar.change(GRANT.subject, EXCESS), 'pending');
    });
    const verification = await told.verifyPackOf({ change: await changeOf(told, GRANT.subject) });
    expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'fails', message: expect.stringContaining('policy says deny where needsApproval is recorded') as string });
  });

  it('is not replayed where no signer is trusted, or nobody asked', async () => {
    const told = await tell(await usualPdp(), preview);
    const asked = { change: await changeOf(told, PREVIEW.subject) };
    expect(verdictOf(await told.verifyPackOf(asked, { signers: [] }), 'REPLAY')).toMatchObject({ status: 'notEstablished', message: 'the trust folder names no policy signer in requirements.json' });
    expect(verdictOf(await told.verifyPackOf(asked, { replayer: null }), 'REPLAY')).toMatchObject({ status: 'notEstablished', message: 'not asked' });
  });
});
