/** What a broken glass stands for, by a floor alone: also where the plan that it was signed for is not there to be looked at. */
import { expect, it } from 'vitest';
import { breakGlassFor, breakGlassShortfall, type BreakGlassStatement } from '../../src/protocol/break-glass.ts';
import { parseTrust } from '../../src/protocol/trust-folder.ts';
import { GLASS, SAM } from '../support/break-glass.ts';
import { START_MS, trustFiles } from '../support/story.ts';

const statement: BreakGlassStatement = {
  v: 1, log: '0123456789abcdef', changeId: 'chg_0123456789abcdef_01M8571XRWJ2028CSGVGJ3Q001', revision: 1, planDigest: `sha256:${'1'.repeat(64)}`, reason: { commitment: `sha256:${'2'.repeat(64)}` }, usedBy: SAM,
  expiresAt: new Date(START_MS + 900_000).toISOString(),
};
const step = { connector: 'pg-main', target: 'app', privileges: ['role:deploy', 'role:read'] };
const at = { asOfMs: START_MS, leaseSeconds: 900, skewMs: 0 };

it('stands for the approvals of what a lease takes back, and of nothing else', () => {
  for (const action of ['provision', 'grant'] as const) expect(breakGlassShortfall(GLASS, null, statement, { ...at, action })).toBeNull();
  for (const action of ['extend', 'revoke', 'stage', 'cutover', 'retire', 'replace', 'disable', 'call'] as const) expect(breakGlassShortfall(GLASS, null, statement, { ...at, action })?.code).toBe('below-floor');
  expect(breakGlassShortfall(GLASS, null, statement, { ...at, action: 'grant', leaseSeconds: null })?.code).toBe('below-floor');
});

it('is let by an entry for each privilege, and only as far as all that match say', () => {
  const read = { ...GLASS, privilege: 'role:read', people: ['person:olga', SAM], maxLeaseSeconds: 600 };
  expect(breakGlassFor({ breakGlass: [read] }, step)).toBeNull();
  expect(breakGlassFor({ breakGlass: [read, { ...GLASS, privilege: 'role:deploy' }] }, step)).toEqual({ people: [SAM], maxLeaseSeconds: 600, reviewWithinSeconds: 86_400 });
  expect(breakGlassFor({ breakGlass: [GLASS, { ...read, reviewWithinSeconds: 60 }] }, step)).toEqual({ people: [SAM], maxLeaseSeconds: 600, reviewWithinSeconds: 60 });
  const [soon, later] = [{ ...GLASS, rotateWithinSeconds: 60 }, { ...GLASS, rotateWithinSeconds: 90, reviewProofClass: 'ssh' as const }];
  expect(breakGlassFor({ breakGlass: [GLASS, later, soon] }, step)).toMatchObject({ rotateWithinSeconds: 60, reviewProofClass: 'ssh' });
  const [ssh, passkey] = (['ssh', 'passkey'] as const).map((reviewProofClass) => ({ ...GLASS, reviewProofClass })) as [typeof GLASS, typeof GLASS];
  for (const breakGlass of [[ssh, passkey], [passkey, GLASS, ssh]]) expect(breakGlassFor({ breakGlass }, step)).toMatchObject({ reviewProofClass: 'passkey' });
  for (const elsewhere of [{ connector: 'pg-dev' }, { target: 'another' }]) expect(breakGlassFor({ breakGlass: [{ ...GLASS, ...elsewhere }] }, step)).toBeNull();
  expect(breakGlassFor({}, step)).toBeNull();
});

it('is let by no folder that says it twice, for ever, or to nobody', () => {
  for (const wrong of [{ people: [] }, { people: [SAM, SAM] }, { people: ['nhi:prod/ci-deployer'] }, { maxLeaseSeconds: 86_401 }, { maxLeaseSeconds: 0 }, { reviewWithinSeconds: 2_592_001 }, { rotateWithinSeconds: 0 }, { rotateWithinSeconds: 2_592_001 }, { reviewProofClass: 'session' }, { quorum: 0 }]) {
    const files = trustFiles({ breakGlass: [{ ...GLASS, ...wrong }] });
    expect(() => parseTrust({ policy: files['trust.policy'], rest: { sidecars: files['sidecars.json'], executors: files['executors.json'], requirements: files['requirements.json'] } })).toThrow(/requirements\.json at \/breakGlass\/0/);
  }
});
