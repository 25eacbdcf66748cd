/** Approving with one's passkey, over HTTP: what is asked for, what is taken, and that nothing weaker counts. */
import { afterEach, describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import type { ApproverExpression, ProofClass } from '../../src/protocol/decision.ts';
import { passkeysFileSchema, passkeysOf } from '../../src/protocol/passkeys.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import type { ChangeView, StatementAnswer } from '../../src/sidecar/schemas.ts';
import { RP_ID, testPasskey, type AssertionEdit } from '../support/passkey.ts';
import { answerOf, GRANT, openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';
import { testSshKey } from '../support/ssh.ts';

const CALLER = 'nhi:prod/ci-deployer';
const WEI = 'person:wei';
const [wei, ana, stranger, retired, ssh] = [testPasskey(), testPasskey('EdDSA'), testPasskey(), testPasskey(), testSshKey()];
let sidecar: TestSidecar;
afterEach(() => sidecar.close());

async function open(asked: ProofClass, floor: ProofClass = 'session', approvers: ApproverExpression = { anyOf: [WEI, 'person:ana'] }): Promise<ChangeView> {
  sidecar = await openTestSidecar({
    decide: () => ({ ...answerOf('needsApproval', approvers), obligations: { ...answerOf('needsApproval', approvers).obligations, proofClass: asked } }),
    trusts: (trust) => Object.assign(trust, {
      signers: parseAllowedSigners(`${WEI} ${ssh.publicLine}`),
      passkeys: passkeysOf(passkeysFileSchema.parse([wei.entry(WEI), ana.entry('person:ana'), retired.entry(WEI, { validBefore: '2020-01-01T00:00:00.000Z' })])),
      requirements: { ...trust.requirements, floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: floor, approvers: null, maxLeaseSeconds: null }] },
    } satisfies Partial<Trust>),
  });
  return sidecar.change(CALLER, GRANT);
}

const statement = async ({ id }: ChangeView, by = WEI, verdict = 'approve'): Promise<StatementAnswer> => (await sidecar.send(by, 'GET', `/v1/changes/${id}/statement?verdict=${verdict}`)).body as StatementAnswer;
const decide = ({ id, planDigest }: ChangeView, body: object, by = WEI): Promise<Answered> => sidecar.send(by, 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest, ...body });
interface Made {
  readonly passkey: Record<'expiresAt' | 'credentialId' | 'authenticatorData' | 'clientDataJSON' | 'signature', string>;
}
async function asserted(change: ChangeView, passkey = wei, edit: object = {}, assertion: AssertionEdit = {}): Promise<Made> {
  const asked = (await statement(change)).statement;
  const made = passkey.assert(canonicalBytes({ ...asked, ...edit }), assertion);
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return { passkey: { expiresAt: asked.expiresAt, credentialId: passkey.credentialId, authenticatorData: text(made.authenticatorData), clientDataJSON: text(made.clientDataJSON), signature: text(made.signature) } };
}

describe('a change that is approved by passkey', () => {
  it.each<[string, ProofClass, ProofClass]>([['because policy says so', 'passkey', 'session'], ['because the floor does, whatever policy says', 'session', 'passkey']])('%s', async (_why, asked, floor) => {
    const change = await open(asked, floor);
    expect(await statement(change)).toMatchObject({ proofClass: 'passkey', passkeys: [{ credentialId: wei.credentialId, rpId: RP_ID }], statement: { planDigest: change.planDigest, verdict: 'approve', approver: WEI } });
    const size = sidecar.log.size;
    expect(problemIn(await decide(change, {}))).toMatchObject({ status: 403, code: 'proof-too-weak' });
    const asksFor = (await statement(change)).statement;
    const bySsh = { ssh: { expiresAt: asksFor.expiresAt, signature: writeArmour(ssh.sign(canonicalBytes(asksFor))) } };
    expect(problemIn(await decide(change, bySsh))).toMatchObject({ status: 403, code: 'proof-too-weak' });
    expect(sidecar.log.size).toBe(size);
    expect(await decide(change, await asserted(change))).toMatchObject({ status: 200, body: { approvals: [{ approver: WEI, verdict: 'approve', proofClass: 'passkey' }] } });
    // The same again changes nothing.
    expect((await decide(change, await asserted(change))).status).toBe(200);
  });

  it('may be rejected by whoever is who she is, and with an assertion that proves nothing', async () => {
    const change = await open('passkey', 'passkey');
    expect(await decide(change, { verdict: 'reject', comment: 'not today', ...(await asserted(change, stranger, { verdict: 'reject' })) })).toMatchObject({ status: 200, body: { state: 'rejected' } });
    expect((await sidecar.send(WEI, 'GET', `/v1/changes/${change.id}/evidence`)).text).toContain('"proofClass":"session"');
  });

  it('may be rejected by passkey', async () => {
    const change = await open('passkey', 'passkey');
    expect(await decide(change, { verdict: 'reject', comment: 'not today', ...(await asserted(change, wei, { verdict: 'reject' })) })).toMatchObject({ status: 200, body: { state: 'rejected' } });
    expect((await sidecar.send(WEI, 'GET', `/v1/changes/${change.id}/evidence`)).text).toContain('"proofClass":"passkey"');
  });
});

it('a passkey will do where a signature is asked for, or nothing', async () => {
  const change = await open('ssh');
  expect(await decide(change, await asserted(change))).toMatchObject({ status: 200, body: { approvals: [{ proofClass: 'passkey' }] } });
});

describe('is no proof, and nothing is recorded', () => {
  it.each<[string, (change: ChangeView) => Promise<Made>, RegExp]>([
    ['a passkey that nobody listed', (change) => asserted(change, stranger), /not among the passkeys/],
    ['the passkey of somebody else', (change) => asserted(change, ana), /a passkey of person:ana/],
    ['one that is over', (change) => asserted(change, retired), /was not good then/],
    ['an assertion for another plan', (change) => asserted(change, wei, { planDigest: `sha256:${'0'.repeat(64)}` }), /its challenge/],
    ['an assertion for a rejection', (change) => asserted(change, wei, { verdict: 'reject' }), /its challenge/],
    ['one made at another origin', (change) => asserted(change, wei, {}, { client: { origin: 'https://evil.example' } }), /not an origin/],
    ['one whose maker was not verified', (change) => asserted(change, wei, {}, { flags: 0x01 }), /UV/],
    ['one that is good for longer than there is to decide', async (change) => {
      const { passkey } = await asserted(change, wei, { expiresAt: '2999-01-01T00:00:00.000Z' });
      return { passkey: { ...passkey, expiresAt: '2999-01-01T00:00:00.000Z' } };
    }, /is the longest/],
    ['rubbish', async (change) => ({ passkey: { ...(await asserted(change)).passkey, authenticatorData: 'AAAA' } }), /cut short/],
    ['base64 in a second spelling', async (change) => ({ passkey: { ...(await asserted(change)).passkey, authenticatorData: 'AAB=' } }), /not canonical base64/],
    ['an id in a second spelling', async (change) => ({ passkey: { ...(await asserted(change)).passkey, credentialId: 'AB' } }), /not base64url/],
  ])('%s', async (_what, body, message) => {
    const change = await open('passkey');
    const made = await body(change);
    const size = sidecar.log.size;
    const problem = problemIn(await decide(change, made));
    expect(problem).toMatchObject({ status: 422, code: 'proof-invalid' });
    expect(problem.detail).toMatch(message);
    expect(sidecar.log.size).toBe(size);
  });

  it('two proofs at once', async () => {
    const change = await open('session');
    const asked = (await statement(change)).statement;
    const both = { ...(await asserted(change)), ssh: { expiresAt: asked.expiresAt, signature: writeArmour(ssh.sign(canonicalBytes(asked))) } };
    expect(problemIn(await decide(change, both)).status).toBe(422);
  });
});
