/** People decide through the console, in their own names and no further; what is in their way is said, and nothing that they typed is lost. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ChangeView } from '../../src/client/index.ts';
import { openTestConsole, placeOf, type TestBrowser, type TestConsole } from '../support/console.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { GRANT, tokenOf } from '../support/sidecar.ts';

let sidecar: ServedSidecar;
let console: TestConsole;
let wei: TestBrowser;
beforeAll(async () => {
  sidecar = await serveTestSidecar();
  console = openTestConsole([placeOf('eu', sidecar), { name: 'us', open: (token) => placeOf('us', { socket: '/nowhere/s' }).open(token) }]);
});
afterAll(async () => sidecar.close());
beforeEach(async () => {
  wei = console.browser();
  await wei.signIn(tokenOf('person:wei'));
});

const ask = (edit: object = {}): Promise<ChangeView> => sidecar.change('nhi:prod/ci-deployer', { ...GRANT, ...edit });
const pathOf = ({ id }: ChangeView, rest = ''): string => `/changes/eu/${id}${rest}`;
const stateOf = async ({ id }: ChangeView): Promise<string> => (await sidecar.client('person:wei').get(id)).state;
/** What a form of the page carries, by the page itself. */
async function formOf(browser: TestBrowser, change: ChangeView): Promise<{ formKey: string; planDigest: string }> {
  const { text } = await browser.get(pathOf(change));
  const planDigest = /name="planDigest" value="([^"]+)"/.exec(text)?.[1] ?? '';
  return { formKey: browser.formKey(), planDigest };
}
const button = (text: string, id: string): string => new RegExp(`<button[^>]*id="${id}"[^>]*>`).exec(text)?.[0] ?? 'no such button';

describe('the inbox', () => {
  it('shows what waits for whoever is signed in, as a diff, with why, and names a sidecar that does not answer', async () => {
    const change = await ask();
    const { text } = await wei.get('/');
    expect(text).toContain(change.id);
    expect(text).toContain('release 42');
    expect(text).toMatch(/class="gains"><span class="sign"><span aria-hidden="true">\+<\/span><span class="hidden">gains: <\/span><\/span><span data-line="?[^>]*>pg-main \/ app \/ role:deploy/);
    expect(text).toContain('low-risk: as the test says');
    expect(text).toContain('Sidecar us does not answer');
    expect(text).toMatch(/^<!DOCTYPE html>/);
    const olga = console.browser();
    await olga.signIn(tokenOf('person:olga'));
    expect((await olga.get('/')).text).not.toContain(change.id);
  });
});

describe('somebody who is asked', () => {
  it('approves exactly the plan that the page showed, is told, and it is on record as hers', async () => {
    const change = await ask();
    const form = await formOf(wei, change);
    expect(form.planDigest).toBe(change.planDigest);
    const answer = await wei.post(pathOf(change, '/approve'), { ...form, comment: 'go' });
    expect([answer.status, answer.location]).toEqual([303, pathOf(change)]);
    const { text } = await wei.get(pathOf(change));
    expect(text).toMatch(/id="said" class="banner good"[^>]*>Approved/);
    expect((await sidecar.client('person:wei').get(change.id)).approvals).toEqual([expect.objectContaining({ approver: 'person:wei', verdict: 'approve', proofClass: 'session' })]);
    expect(text).toContain('person:wei');
    expect((await wei.get(pathOf(change))).text).not.toContain('id="said"');
  });

  it('rejects with a reason, and not without one', async () => {
    const change = await ask();
    const form = await formOf(wei, change);
    const without = await wei.post(pathOf(change, '/reject'), { ...form, comment: '  ' });
    expect([without.status, await stateOf(change)]).toEqual([422, 'pending']);
    expect(without.text).toContain('A rejection says why');
    await wei.post(pathOf(change, '/reject'), { ...form, comment: 'not tonight' });
    expect(await stateOf(change)).toBe('rejected');
    expect((await wei.get(pathOf(change))).text).toContain('not tonight');
  });

  it('asks for less: a shorter time, or without something', async () => {
    const change = await ask({ entitlements: [...GRANT.entitlements, { connector: 'pg-main', target: 'app', privilege: 'role:orders' }] });
    const form = await formOf(wei, change);
    expect((await wei.post(pathOf(change, '/reduce'), { ...form, duration: '' })).status).toBe(422);
    const answer = await wei.post(pathOf(change, '/reduce'), { ...form, without: '1', duration: 'PT300S' });
    expect(answer.status, /id="said"[^<]*</.exec(answer.text)?.[0]).toBe(303);
    const reduced = await sidecar.client('person:wei').get(change.id);
    expect(reduced).toMatchObject({ revision: 2, reduced: { by: 'person:wei' }, entitlements: GRANT.entitlements });
  });

  it('finds what she chose of less where that was refused, and not in another plan', async () => {
    const both = [...GRANT.entitlements, { connector: 'pg-main', target: 'app', privilege: 'role:orders' }];
    const change = await ask({ entitlements: both });
    const form = await formOf(wei, change);
    const all = await wei.post(pathOf(change, '/reduce'), { ...form, without: '0\n1', duration: 'PT300S' });
    expect(all.status).toBe(422);
    const chosen = (text: string): unknown[] => [/<details id="reduce-more"[^>]* open/.test(text), [...text.matchAll(/name="without" value="(\d)"( checked)?/g)].map(([, , checked]) => checked !== undefined), /<option value="PT300S"( selected)?/.exec(text)?.[1] !== undefined];
    expect(chosen(all.text)).toEqual([true, [true, true], true]);
    expect(chosen((await wei.get(pathOf(change))).text)).toEqual([false, [false, false], false]);
    // Meanwhile it is another plan: what was at these places is not there any more.
    await sidecar.client('nhi:prod/ci-deployer').revise(change.id, { ...GRANT, entitlements: [both[1]!, both[0]!] });
    const late = await wei.post(pathOf(change, '/reduce'), { ...form, without: '0', duration: 'PT300S' });
    expect([late.status, ...chosen(late.text)]).toEqual([409, true, [false, false], false]);
  });

  it('is asked by the change itself, however many others wait', async () => {
    const change = await ask();
    const eu = placeOf('eu', sidecar);
    const alone = openTestConsole([{ name: 'eu', open: (token) => ({ ...eu.open(token), list: () => Promise.reject(new Error('a list was asked for')) }) }]).browser();
    await alone.signIn(tokenOf('person:wei'));
    const { status, text } = await alone.get(pathOf(change));
    expect([status, button(text, 'approve')]).toEqual([200, expect.not.stringContaining('disabled')]);
  });

  it('is told to what she came too late, and what she typed is still there', async () => {
    const change = await ask();
    const form = await formOf(wei, change);
    await sidecar.client('person:ana').reject(change.id, change.planDigest!, 'no');
    const answer = await wei.post(pathOf(change, '/approve'), { ...form, comment: 'I would have said yes' });
    expect(answer.status).toBe(409);
    expect(answer.text).toMatch(/By now the change is rejected, revision 1, record \d+/);
    expect(answer.text).toContain('value="I would have said yes"');
  });

  it('cannot approve a plan that is no more, though the page that she has is of it', async () => {
    const change = await ask();
    const form = await formOf(wei, change);
    await sidecar.client('person:ana').reduce(change.id, change.planDigest!, { duration: 'PT300S' });
    expect((await wei.post(pathOf(change, '/approve'), { ...form })).status).toBe(409);
    expect((await sidecar.client('person:wei').get(change.id)).approvals).toEqual([]);
  });
});

describe('a button that does nothing', () => {
  it.each([
    ['person:olga', 'You are not asked. It takes one of (person:wei, person:ana).'],
    ['nhi:prod/ci-deployer', 'You asked for this: somebody else decides.'],
  ])('says why to %s', async (principal, why) => {
    const change = await ask();
    const browser = console.browser();
    await browser.signIn(tokenOf(principal));
    const { text } = await browser.get(pathOf(change));
    if (principal === 'person:olga' && text.includes('Not to be shown')) return;
    expect(button(text, 'approve')).toContain('disabled');
    expect(text).toContain(why);
  });

  it('is enabled for who is asked, and not once she has approved', async () => {
    const change = await ask();
    expect(button((await wei.get(pathOf(change))).text, 'approve')).not.toContain('disabled');
    await wei.post(pathOf(change, '/approve'), await formOf(wei, change));
    const { text } = await wei.get(pathOf(change));
    expect(button(text, 'approve')).toContain('disabled');
    expect(text).toMatch(/There is nothing to decide|You have approved/);
  });
});

describe('what others wrote', () => {
  it('stands as text', async () => {
    const change = await ask({ reason: '<img src=x onerror=alert(1)>" onmouseover="x \u05d0\u05d1' });
    for (const path of ['/', pathOf(change), pathOf(change, '/evidence'), '/changes']) {
      const { text, status } = await wei.get(path);
      expect(status).toBe(200);
      expect(text).not.toContain('<img');
      if (path !== '/changes' && !path.endsWith('/evidence')) expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;');
    }
  });
});

describe('a change', () => {
  it('is told record by record, each with the way to its proof', async () => {
    const change = await ask();
    const { text } = await wei.get(pathOf(change));
    expect(text).toContain('nhi:prod/ci-deployer asked to');
    expect(text).toContain(`href="${pathOf(change)}/evidence#r${change.lastRecord}"`);
    const evidence = await wei.get(pathOf(change, '/evidence?as=file'));
    expect(JSON.parse(evidence.text)).toMatchObject({ records: expect.any(Array) as unknown, proof: expect.stringContaining('c2sp.org/tlog-proof') as unknown });
  });

  it.each(['/changes/eu/chg_nothing', '/changes/elsewhere/chg_0123456789abcdef_01ARZ3NDEKTSV4RRFFQ69G5FAV', '/changes/eu/chg_0123456789abcdef_01ARZ3NDEKTSV4RRFFQ69G5FAV', '/nothing'])('is none at %s', async (path) => {
    expect((await wei.get(path)).status).toBe(404);
  });

  it('of a sidecar that is away says so, and what was typed is shown', async () => {
    const change = await ask();
    const { formKey } = await formOf(wei, change);
    const answer = await wei.post(`/changes/us/${change.id}/reject`, { formKey, planDigest: change.planDigest!, comment: 'typed with care' });
    expect(answer.status).toBe(502);
    expect(answer.text).toContain('Sidecar us does not answer');
    expect(answer.text).toContain('typed with care');
  });
});
