/** The pages of what there is: leases, identities, the ledger. Each shows what its reader may see, and takes back what she may take back. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseProof, parseTrustPolicy, verifyProof } from '../../ledger/index.ts';
import type { ChangeView, Client, LeaseList } from '../../src/client/index.ts';
import { verifyPack } from '../../src/evidence/pack-verify.ts';
import type { Place } from '../../src/console/context.ts';
import { openTestConsole, placeOf, type TestBrowser, type TestConsole } from '../support/console.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { GRANT, tokenOf } from '../support/sidecar.ts';

let sidecar: ServedSidecar;
let console: TestConsole;
let wei: TestBrowser;
let kim: TestBrowser;
beforeAll(async () => {
  sidecar = await serveTestSidecar();
  console = openTestConsole([placeOf('eu', sidecar), { name: 'us', open: (token) => placeOf('us', { socket: '/nowhere/s' }).open(token) }]);
});
afterAll(async () => sidecar.close());
beforeEach(async () => {
  [wei, kim] = [console.browser(), console.browser()];
  await wei.signIn(tokenOf('person:wei'));
  await kim.signIn(tokenOf('person:kim'));
});

/** One that has given its access. */
async function active(reason = 'release 42'): Promise<ChangeView> {
  const change = await sidecar.change('nhi:prod/ci-deployer', { ...GRANT, reason });
  await sidecar.client('person:wei').approve(change.id, change.planDigest!);
  return sidecar.client('person:wei').wait(change.id, { until: ({ state }) => state === 'active', timeoutMs: 10_000 });
}

/** The sidecar by that name, with other answers to some questions. */
function withAnswers(name: string, edits: Partial<Record<keyof Client, (answer: unknown) => unknown>>): Place {
  const asks = (client: Client): Record<string, (...args: unknown[]) => Promise<unknown>> => client as never;
  return {
    name,
    open(token) {
      const client = placeOf(name, sidecar).open(token);
      return { ...client, ...Object.fromEntries(Object.entries(edits).map(([question, edit]) => [question, async (...args: unknown[]) => edit(await asks(client)[question]!(...args))])) };
    },
  };
}

describe('leases', () => {
  it('says whose, at what, until when and by which change, and names a sidecar that does not answer', async () => {
    const change = await active();
    const { text } = await wei.get('/leases');
    expect(text).toContain(`href="/changes/eu/${change.id}"`);
    expect(text).toContain('href="/inventory/eu/nhi%3Aprod/ci-deployer"');
    expect(text).toMatch(/role:deploy<\/span> at <span class="id">pg-main \/ app/);
    expect(text).toContain(`data-until="${change.lease!.endsAt}"`);
    expect(text).toContain('Sidecar us does not answer');
    expect((await wei.get('/leases?q=no-such')).text).toContain('No lease is like that.');
    expect((await wei.get('/leases?at=us')).text).not.toContain(change.id);
  });

  it('shows nothing of what its reader may not see', async () => {
    const change = await active();
    const mallory = console.browser();
    await mallory.signIn(tokenOf('person:mallory'));
    const { text } = await mallory.get('/leases');
    expect(text).not.toContain(change.id);
    expect(text).toContain('Nothing runs where sidecars answer that you may see.');
  });

  it('takes one back by its form alone, tells what came of it where it was, and does nothing twice', async () => {
    const change = await active();
    const { text } = await wei.get('/leases?sort=identity');
    const form = new RegExp(`<form method="post" action="/changes/eu/${change.id}/revoke".*?</form>`).exec(text)?.[0] ?? '';
    const back = /name="back" value="([^"]+)"/.exec(form)![1]!.replaceAll('&amp;', '&');
    expect(back).toBe('/leases?sort=identity');
    await wei.post(`/changes/eu/${change.id}/revoke`, { formKey: 'not ours', back });
    expect((await sidecar.client('person:wei').get(change.id)).state).toBe('active');
    const answer = await wei.post(`/changes/eu/${change.id}/revoke`, { formKey: wei.formKey(), back, comment: 'seen enough' });
    expect([answer.status, answer.location]).toEqual([303, back]);
    expect((await wei.get(back)).text).toMatch(new RegExp(`id="said" class="banner good"[^>]*>${change.id}: It is being taken back now`));
    await sidecar.client('person:wei').wait(change.id, { until: ({ state }) => state === 'revoked', timeoutMs: 10_000 });
    expect((await wei.get('/leases')).text).not.toContain(change.id);
  });

  it('sends nobody elsewhere', async () => {
    const change = await active();
    const answer = await wei.post(`/changes/eu/${change.id}/revoke`, { formKey: wei.formKey(), back: 'https://evil.example/' });
    expect(answer.location).toBe('/');
  });

  it('says that a reader who may look may not take back, in the sidecar’s words', async () => {
    const change = await active();
    expect((await kim.get('/leases')).text).toContain(change.id);
    const answer = await kim.post(`/changes/eu/${change.id}/revoke`, { formKey: kim.formKey(), back: '/leases' });
    expect([answer.status, (await sidecar.client('person:wei').get(change.id)).state]).toEqual([403, 'active']);
  });

  it('offers nothing where it is being taken back already, and says why', async () => {
    const change = await active();
    sidecar.executor.acting = false;
    await sidecar.client('person:wei').revoke(change.id);
    const { text } = await wei.get(`/leases?q=${change.id}`);
    expect(text).toMatch(/<button class="bad" type="button" disabled=""[^>]*>Revoke<\/button><p class="why"[^>]*>It is being taken back just now/);
    expect(text).not.toContain('Revoke now');
    sidecar.executor.acting = true;
  });

  it('marks what policy would take back and a person has to confirm', async () => {
    const change = await active();
    const held = openTestConsole([withAnswers('eu', { leases: (answer) => ({ ...(answer as LeaseList), leases: (answer as LeaseList).leases.map((lease) => (lease.changeId === change.id ? { ...lease, held: ['exceeds-purpose'] } : lease)) }) })]).browser();
    await held.signIn(tokenOf('person:wei'));
    const { text } = await held.get('/leases');
    expect(text.match(/<strong>Held<\/strong> Policy would take this back \(exceeds-purpose\)/g)).toHaveLength(1);
    expect((await wei.get('/leases')).text).not.toContain('<strong>Held');
  });

  it('marks what is locked, as text whatever the reason is', async () => {
    await active();
    const lock = await sidecar.client('person:wei').lock({ nhi: 'nhi:prod/ci-deployer' }, '<b>looking</b> into it');
    const { text } = await wei.get('/leases');
    expect(text).toContain('<strong>Locked</strong> as an identity');
    expect(text).toContain('&lt;b&gt;looking&lt;/b&gt; into it');
    await sidecar.client('person:wei').unlock(lock.lockId, 'seen');
    expect((await wei.get('/leases')).text).not.toContain('<strong>Locked</strong>');
  });
});

describe('the inventory', () => {
  it('says who answers for what, and how much of what is declared is leased and used', async () => {
    await active();
    const { text } = await kim.get('/inventory?q=ci-deployer');
    expect(text).toContain('href="/inventory/eu/nhi%3Aprod/ci-deployer"');
    expect(text).toMatch(/owner <span class="id">person:wei<\/span>/);
    expect(text).toContain('medium risk');
    expect(text).toMatch(/<dt>declared<\/dt><dd><svg[^]*?<span class="count">1<\/span>/);
    expect(text).toMatch(/<dt>leased<\/dt><dd><svg[^]*?<span class="count">1<\/span>/);
    expect(text).not.toContain('nhi:prod/billing-export');
  });

  it('narrows to what is asked for, and says that nothing is like that', async () => {
    const { text } = await kim.get('/inventory?risk=high');
    expect(text).toContain('nhi:prod/warehouse-sync');
    expect(text).not.toContain('nhi:prod/ci-deployer');
    expect((await kim.get('/inventory?risk=high&q=nobody')).text).toContain('No identity is like that.');
    // What is no choice is none, and is not handed back as one.
    expect((await kim.get('/inventory?risk=%3Cb%3E')).text).toContain('nhi:prod/ci-deployer');
  });

  it('shows its reader only the identities that she may see', async () => {
    const { text } = await wei.get('/inventory');
    expect(text).toContain('nhi:prod/ci-deployer');
    expect(text).not.toContain('nhi:prod/warehouse-sync');
    expect((await wei.get('/inventory/eu/nhi:prod/warehouse-sync')).status).toBe(404);
  });

  it('shows of one identity its leases, with the way back to it, its changes and its privileges by name', async () => {
    const change = await active();
    const { text, status } = await kim.get('/inventory/eu/nhi%3Aprod/ci-deployer');
    expect(status).toBe(200);
    expect(text).toContain(`action="/changes/eu/${change.id}/revoke"`);
    expect(text).toContain('name="back" value="/inventory/eu/nhi%3Aprod/ci-deployer"');
    expect(text).toMatch(/<dt>declared<\/dt><dd><svg[^]*?<span class="count">1<\/span><span class="id">role:deploy<\/span>/);
    expect(text).toContain('deploy-orders');
    expect(text).toContain(`href="/changes/eu/${change.id}"`);
  });

  it('shows what is held at the target and when it was last seen, to whom may see it, once it was compared', async () => {
    sidecar.executor.found = [
      { kind: 'account', key: 'a', account: 'ci_deployer', nativeId: '1', canLogin: true, isOwn: false, endsAt: null, held: ['table:public.old:SELECT'], heldLeftOut: 0, marks: [], credentials: [{ id: 'c', createdAt: '2026-01-02T03:04:05.000Z', expiresAt: null, usesLeft: null, clientToken: null }], credentialsLeftOut: 0, sessions: 0, lastUsedAt: '2026-11-01T00:00:00.000Z' },
    ];
    await sidecar.client('person:sam').reconcile({ connector: 'pg-main' }, { waitSeconds: 10 });
    const { text } = await kim.get('/inventory/eu/nhi:prod/ci-deployer');
    expect(text).toMatch(/<dt>held<\/dt><dd><svg[^]*?table:public.old:SELECT/);
    expect(text).toContain('Last seen: <time datetime="2026-11-01T00:00:00.000Z"');
    expect(text).toContain('Oldest credential of <time datetime="2026-01-02T03:04:05.000Z"');
    expect(text).toMatch(/class="banner bad"><strong>access-unexplained/);
    expect((await kim.get('/inventory?with=findings')).text).toMatch(/1 open finding|open findings/);
    expect((await wei.get('/inventory/eu/nhi:prod/ci-deployer')).text).not.toContain('<dt>held</dt>');
  });

  it.each(['/inventory/eu/nhi:prod/nobody', '/inventory/elsewhere/nhi:prod/ci-deployer', '/inventory/eu/person:wei'])('has nothing at %s', async (path) => {
    expect((await kim.get(path)).status).toBe(404);
  });
});

describe('the ledger', () => {
  it('shows its head, its checks and its newest records to an auditor', async () => {
    const change = await active();
    const { text } = await kim.get('/ledger');
    const { size, root } = sidecar.log.checkpoint();
    expect(text).toContain(`${size} records`);
    expect(text).toContain(`sha256:${Buffer.from(root).toString('hex')}`);
    expect(text).toContain('the ledger can be written');
    expect(text).toContain('No witness is asked to cosign it.');
    expect(text).toContain(`href="/ledger/eu/records/${size - 1}"`);
    expect(text).toContain(`href="/changes/eu/${change.id}"`);
    expect((await kim.get('/ledger?before=3')).text).toMatch(/Records before 3[^]*records\/2"/);
    expect((await kim.get('/ledger?before=0')).status).toBe(200);
  });

  it('tells whoever may not read it so, and shows the checks all the same', async () => {
    const { text, status } = await wei.get('/ledger');
    expect(status).toBe(200);
    expect(text).toContain('The records themselves are for auditors');
    expect(text).toContain('the ledger can be written');
    expect(text).not.toContain('/ledger/eu/records/');
    expect((await wei.get('/ledger/eu/records/0')).status).toBe(403);
  });

  it('names a sidecar that does not answer', async () => {
    const { text, status } = await kim.get('/ledger?at=us');
    expect([status, text.includes('Sidecar us does not answer')]).toEqual([502, true]);
  });

  it('gives a record and a proof that holds for exactly its bytes', async () => {
    const change = await active('<i>hostile</i>');
    const { text } = await kim.get(`/changes/eu/${change.id}`);
    const path = `/ledger/eu/records/${change.lastRecord}`;
    expect(text).toContain(`href="${path}"`);
    expect((await kim.get(`/ledger/eu/records?seq=${change.lastRecord}`)).location).toBe(path);
    const [record, proof] = await Promise.all([kim.get(`${path}?as=record`), kim.get(`${path}?as=proof`)]);
    const policy = parseTrustPolicy(`log ${sidecar.logSigner.vkey}\nquorum none\n`);
    expect(verifyProof(Buffer.from(record.text), parseProof(proof.text), policy).size).toBeGreaterThan(change.lastRecord);
    expect(() => verifyProof(Buffer.from(`${record.text} `), parseProof(proof.text), policy)).toThrow();
    expect((await kim.get(path)).text).not.toContain('<i>');
  });

  it.each(['/ledger/eu/records/999999', '/ledger/eu/records/01', '/ledger/eu/records/x', '/ledger/us2/records/0'])('has no record at %s', async (path) => {
    expect((await kim.get(path)).status).toBe(404);
  });

  it('hands out a pack of a change that is one, and the verifier page to be opened from disk', async () => {
    const change = await active();
    await kim.get('/ledger');
    const answer = await console.app.request('https://console.acme.example/ledger/eu/pack', {
      method: 'POST', body: new URLSearchParams({ formKey: kim.formKey(), change: change.id }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin', cookie: [...kim.cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${change.id}.evidence.tar"`);
    const verified = await verifyPack({ pack: Buffer.from(await answer.arrayBuffer()), trust: sidecar.trust, wholeFolder: true });
    expect(verified.pack?.asked).toEqual({ change: change.id });
    expect(verified.verdicts.filter(({ name }) => ['INTEGRITY', 'SIGNATURE'].includes(name)).map(({ status }) => status)).toEqual(['holds', 'holds']);
    const page = await kim.get('/verifier.html');
    expect([page.text, page.headers.get('content-disposition')]).toEqual(['<!DOCTYPE html>verifier', 'attachment; filename="verifier.html"']);
    expect((await kim.get('/ledger')).text).toContain('f'.repeat(64));
  });

  it('says why it has no pack, and keeps what was typed', async () => {
    await kim.get('/ledger');
    const answer = await kim.post('/ledger/eu/pack', { formKey: kim.formKey(), change: 'chg_"typed' });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain('value="chg_&quot;typed"');
    await wei.get('/ledger');
    const change = await active();
    expect((await wei.post('/ledger/eu/pack', { formKey: wei.formKey(), change: change.id })).text).toContain('Evidence packs are for auditors');
  });
});
