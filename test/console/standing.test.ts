/** Standing approvals and reviews of broken glasses through the console: what is shown is what is signed, and nothing else is sent. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { canonicalBytes } from '../../ledger/index.ts';
import type { ChangeView } from '../../src/client/index.ts';
import { templateLines } from '../../src/cli/shown-template.ts';
import { BREAK_GLASS_NAMESPACE } from '../../src/protocol/break-glass.ts';
import { parseAllowedSigners } from '../../src/protocol/allowed-signers.ts';
import { commitmentTo } from '../../src/protocol/disclosure.ts';
import { passkeysFileSchema, passkeysOf } from '../../src/protocol/passkeys.ts';
import { writeArmour } from '../../src/protocol/ssh-signature.ts';
import type { StandingStatement } from '../../src/protocol/standing-approval.ts';
import type { Trust } from '../../src/protocol/trust-folder.ts';
import { GLASS, GLASS_SALT, SAM } from '../support/break-glass.ts';
import { openTestConsole, placeOf, type TestBrowser, type TestConsole } from '../support/console.ts';
import { testPasskey } from '../support/passkey.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { answerOf, GRANT, tokenOf } from '../support/sidecar.ts';
import { testSshKey } from '../support/ssh.ts';

const CALLER = 'nhi:prod/ci-deployer';
const [wei, sam] = [testPasskey(), testSshKey()];
let sidecar: ServedSidecar;
let console: TestConsole;
let browser: TestBrowser;
beforeAll(async () => {
  const asks = answerOf('needsApproval', { anyOf: ['person:wei', 'person:ana'] });
  sidecar = await serveTestSidecar({
    decide: () => ({ ...asks, obligations: { ...asks.obligations, standingApproval: { maxLeaseSeconds: 3_600 }, breakGlass: { maxLeaseSeconds: 3_600, reviewWithinSeconds: 86_400 } } }),
    trusts: (trust) => Object.assign(trust, {
      signers: parseAllowedSigners(`${SAM} ${sam.publicLine}`), passkeys: passkeysOf(passkeysFileSchema.parse([wei.entry('person:wei')])),
      requirements: { ...trust.requirements, breakGlass: [{ ...GLASS, reviewProofClass: 'passkey' }], floors: [{ connector: '*', target: '*', privilege: '*', quorum: 1, proofClass: 'passkey', approvers: null, maxLeaseSeconds: null, standing: true }] },
    } satisfies Partial<Trust>),
  });
  console = openTestConsole([placeOf('eu', sidecar)]);
});
afterAll(() => sidecar.close());
beforeEach(async () => {
  browser = console.browser();
  await browser.signIn(tokenOf('person:wei'));
});

const ask = (edit: object = {}): Promise<ChangeView> => sidecar.change(CALLER, { ...GRANT, ...edit });
const pathOf = ({ id }: ChangeView, rest = ''): string => `/changes/eu/${id}${rest}`;
const unescaped = (text: string): string => text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
const fieldOf = (text: string, id: string): string => unescaped(new RegExp(`<input[^>]*id="${id}"[^>]*value="([^"]*)"`).exec(text)?.[1] ?? '');
const linesOf = (text: string): string[] => [...text.matchAll(/<span data-line="?[^>]*>([^<]*)<\/span>/g)].map((match) => unescaped(match[1]!));
/** What the page would have her sign, answered as the island does. */
async function shown(change: ChangeView, form: Record<string, string> = {}): Promise<{ text: string; sign: Record<string, string>; template: StandingStatement }> {
  await browser.get(pathOf(change, '/standing'));
  const { text } = await browser.post(pathOf(change, '/standing'), { formKey: browser.formKey(), uses: '3', days: '7', lease: '900', comment: 'every <b>release</b>', ...form });
  const statement = fieldOf(text, 'template-statement');
  const template = JSON.parse(statement === '' ? '{}' : statement) as StandingStatement;
  return { text, template, sign: { formKey: browser.formKey(), statement, salt: fieldOf(text, 'template-salt'), comment: fieldOf(text, 'template-reason'), passkey: statement === '' ? '' : JSON.stringify(wei.answer(template)) } };
}

describe('approving the next ones like this', () => {
  it('offers what the plan does and no more, shows exactly that, records what a passkey answered for, and approves by it', async () => {
    const change = await ask();
    expect((await browser.get(pathOf(change))).text).toContain(`href="${pathOf(change, '/standing')}"`);
    const { text, template, sign } = await shown(change);
    expect(template).toMatchObject({ approver: 'person:wei', subject: CALLER, kinds: ['grant'], connector: 'pg-main', target: 'app', accounts: ['ci_deployer'], privileges: ['role:deploy'], recipients: [], maxLeaseSeconds: 900, uses: 3 });
    expect(linesOf(text)).toEqual(templateLines(template).map(({ text: line }) => line));
    expect(text).toContain('every &lt;b&gt;release&lt;/b&gt;');
    expect((await browser.get(pathOf(change, '/standing/passkeys'))).text).toContain(wei.credentialId);
    const answer = await browser.post(pathOf(change, '/standing/sign'), sign);
    expect([answer.status, answer.location]).toEqual([303, '/standing']);
    await expect.poll(async () => (await sidecar.client('person:wei').get(change.id)).approvals, { timeout: 10_000 }).toEqual([expect.objectContaining({ proofClass: 'passkey', standing: expect.objectContaining({ use: 1 }) as object })]);
    const list = (await browser.get('/standing')).text;
    expect(list).toContain('used 1 of 3');
    expect(linesOf(list)).toContain(CALLER);
    const [id] = /apr_[0-9a-f]{32}/.exec(list)!;
    await browser.post(`/standing/eu/${id}/revoke`, { formKey: browser.formKey(), comment: 'moved' });
    expect((await browser.get('/standing')).text).toContain('None is in force.');
    expect((await browser.get('/standing?state=over')).text).toMatch(/revoked by person:wei/);
    expect((await sidecar.client('person:wei').standingApprovals()).standingApprovals[0]).toMatchObject({ proofClass: 'passkey', revoked: { by: 'person:wei', reason: 'moved' } });
  });

  it('records nothing that she did not answer for, and keeps what she typed', async () => {
    const change = await ask();
    const { sign, template } = await shown(change);
    const none = (await sidecar.client('person:wei').standingApprovals()).standingApprovals.length;
    for (const wrong of [{ statement: JSON.stringify({ ...template, uses: 4 }) }, { comment: 'another reason' }, { passkey: '' }, { passkey: '{}' }, { statement: 'x' }]) {
      const answer = await browser.post(pathOf(change, '/standing/sign'), { ...sign, ...wrong });
      expect([answer.status, answer.text.includes('class="banner bad"')]).toEqual([422, true]);
    }
    const again = await browser.post(pathOf(change, '/standing/sign'), { ...(await shown(change, { days: '1', lease: '300' })).sign, passkey: '' });
    expect([fieldOf(again.text, 'stand-uses'), ...[...again.text.matchAll(/<option value="(\d+)" selected/g)].map(([, value]) => value)]).toEqual(['3', '1', '300']);
    expect(fieldOf(again.text, 'stand-comment')).toBe('every <b>release</b>');
    const refused = await browser.post(`/standing/eu/apr_${'0'.repeat(32)}/revoke`, { formKey: browser.formKey(), comment: 'the export was moved' });
    expect(refused.status).toBe(422);
    expect(refused.text).toContain('the export was moved');
    for (const wrong of [{ uses: '0' }, { uses: '1001' }, { days: '31' }, { lease: '901' }, { comment: ' ' }]) {
      const { text } = await shown(change, wrong);
      expect(text).not.toContain('id="standing-passkey"');
      expect(text).toContain('class="banner bad"');
    }
    expect((await sidecar.client('person:wei').standingApprovals()).standingApprovals).toHaveLength(none);
    const olga = console.browser();
    await olga.signIn(tokenOf('person:olga'));
    expect((await olga.get(pathOf(change, '/standing'))).text).not.toContain('id="stand-show"');
  });
});

describe('a broken glass', () => {
  it('is shown with what is owed, and reviewed by a passkey as the floor asks', async () => {
    const change = await ask({ urgency: 'emergency' });
    const client = sidecar.client(SAM);
    const unsaid = await client.breakGlassStatement(change.id);
    const statement = { ...unsaid, reason: commitmentTo({ name: 'reason', salt: GLASS_SALT, value: 'nobody answers' }) };
    await client.breakGlass(change.id, { planDigest: change.planDigest!, reason: 'nobody answers', salt: GLASS_SALT, ssh: { expiresAt: statement.expiresAt, signature: writeArmour(sam.sign(canonicalBytes(statement), { namespace: BREAK_GLASS_NAMESPACE })) } });
    const { text } = await browser.get(pathOf(change));
    expect(text).toMatch(/id="glass"[^]*person:sam[^]*To be reviewed by <span class="id">person:wei or person:ana<[^]*id="review-passkey"/);
    expect(text).not.toMatch(/<button[^>]*id="review"/);
    const asked = JSON.parse((await browser.get(pathOf(change, '/review-statement'))).text) as { statement: { expiresAt: string }; proofClass: string };
    expect(asked.proofClass).toBe('passkey');
    const said = { ...asked.statement, verdict: 'unjustified', comment: commitmentTo({ name: 'comment', salt: GLASS_SALT, value: 'somebody was there' }) };
    const form = { formKey: browser.formKey(), verdict: 'unjustified', comment: ' somebody was there ', passkey: JSON.stringify({ salt: GLASS_SALT, passkey: { expiresAt: asked.statement.expiresAt, ...wei.answer(said) } }) };
    for (const wrong of [{ verdict: 'justified' }, { comment: 'another' }, { passkey: '' }, { passkey: '{}' }, { verdict: 'x' }]) {
      const answer = await browser.post(pathOf(change, '/review'), { ...form, ...wrong });
      expect(answer.status).toBeGreaterThanOrEqual(400);
    }
    const refused = await browser.post(pathOf(change, '/review'), { ...form, passkey: '' });
    expect(fieldOf(refused.text, 'review-comment')).toBe('somebody was there');
    expect(refused.text).toMatch(/<option value="unjustified" selected/);
    expect((await client.get(change.id)).breakGlass?.review).toBeNull();
    expect((await browser.post(pathOf(change, '/review'), form)).status).toBe(303);
    expect((await client.get(change.id)).breakGlass?.review).toEqual({ by: 'person:wei', verdict: 'unjustified' });
    expect((await browser.get(pathOf(change))).text).toMatch(/Reviewed by[^]*person:wei[^]*unjustified/);
  });
});
