/** REPLAY of decisions about an identity whose owner is a rule's: the same owner is worked out of the facts on record. */
import { expect, it } from 'vitest';
import { factsOf, type Facts } from '../../src/facts/load.ts';
import type { ChangeInput } from '../../src/pdp/policy-input.ts';
import { askedOtherwise, policySigner, PREVIEW, settled, tell, usualPdp, verdictOf, type Told } from '../support/replayed.ts';

/** The previewed identity is Ana's by a rule alone. */
function unowned({ value, loadedAtMs }: Facts): Facts {
  const nhis = value.inventory.nhis.map((nhi) => {
    const { owner: _owner, ...rest } = nhi;
    return nhi.id === PREVIEW.subject ? rest : nhi;
  });
  return factsOf({ ...value, inventory: { v: 1, nhis, fallbackOwners: [{ prefix: 'nhi:dev/', owner: 'person:ana' }] } }, loadedAtMs);
}

const preview = async (): Promise<Told> => tell(await usualPdp(policySigner), async (sidecar) => {
  await settled(sidecar, PREVIEW.subject, await sidecar.change(PREVIEW.subject, PREVIEW), 'active');
}, { facts: unowned });

it('holds where policy was told of the owner and what kind of owner that is', async () => {
  const verification = await (await preview()).verify();
  expect(verdictOf(verification, 'REPLAY')).toMatchObject({ status: 'holds' });
  expect(verification.replay).toMatchObject({ differing: 0, unreplayed: [] });
});

it.each<[string, (nhi: NonNullable<ChangeInput['facts']['nhi']>) => object]>([
  ['was not told that the owner is a fallback', ({ ownerIsFallback: _kind, ...nhi }) => nhi],
  ['was told of another owner', (nhi) => ({ ...nhi, owner: 'person:wei' })],
])('fails where policy %s', async (_what, lie) => {
  const told = await (await preview()).rewritten(askedOtherwise('policy.decided', (input: ChangeInput) => ({ ...input, facts: { ...input.facts, nhi: lie(input.facts.nhi!) } })));
  const replay = verdictOf(await told.verify(), 'REPLAY');
  expect(replay).toMatchObject({ status: 'fails' });
  expect(replay.message).toMatch(/policy was told another facts\.nhi than the records tell/);
});
