/** The page for approvers, as it is served, and what of all that pages might ask it alone may ask. What it does is `test/e2e/approve-page.test.ts`. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ChangeView } from '../../src/sidecar/schemas.ts';
import { GRANT, openTestSidecar, problemIn, type Answered, type TestSidecar } from '../support/sidecar.ts';

const URL_ = 'https://countersign.example.org';
let folder: string;
let built: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cs-approve-'));
  built = join(folder, 'approve.html');
  execFileSync(process.execPath, [join(import.meta.dirname, '..', '..', 'src', 'verifier', 'build.mjs'), '--approver', built]);
});
afterAll(() => rmSync(folder, { recursive: true }));
let sidecar: TestSidecar;
afterEach(() => sidecar.close());
const page = (): Promise<Answered> => sidecar.send(null, 'GET', '/approve');

describe('the page for approvers', () => {
  it('is one file that may ask this sidecar alone, be framed by nobody, and run no script but its own', async () => {
    sidecar = await openTestSidecar({ publicUrl: URL_, approvePage: built });
    const { status, headers, text } = await page();
    expect([status, headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const policy = headers.get('content-security-policy')!;
    const script = /<script>([^]*)<\/script>/.exec(text)![1]!;
    expect(policy).toContain(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}';`);
    for (const part of ['default-src \'none\'', 'connect-src \'self\'', 'base-uri \'none\'', 'form-action \'none\'', 'frame-ancestors \'none\'', 'require-trusted-types-for \'script\'']) expect(policy).toContain(part);
    expect(policy).not.toMatch(/unsafe|https?:/);
    expect(text).not.toMatch(/<(?:link|img|iframe|script [^>]*src)/);
    expect([headers.get('x-content-type-options'), headers.get('referrer-policy'), headers.get('cross-origin-opener-policy'), headers.get('cache-control')]).toEqual(['nosniff', 'no-referrer', 'same-origin', 'no-store']);
  });

  it('is not there where no address is configured, or none was built, or what was has no policy', async () => {
    sidecar = await openTestSidecar();
    expect(problemIn(await page())).toMatchObject({ status: 404, code: 'not-found' });
    await sidecar.close();
    sidecar = await openTestSidecar({ publicUrl: URL_, approvePage: join(folder, 'nowhere.html') });
    expect(problemIn(await page())).toMatchObject({ status: 404, code: 'not-found' });
    await sidecar.close();
    writeFileSync(join(folder, 'bare.html'), '<!doctype html><script>1</script>');
    sidecar = await openTestSidecar({ publicUrl: URL_, approvePage: join(folder, 'bare.html') });
    expect(problemIn(await page())).toMatchObject({ status: 500 });
  });
});

describe('a request of a page', () => {
  const approve = ({ id, planDigest }: ChangeView, origin: string): Promise<Answered> => sidecar.send('person:wei', 'POST', `/v1/changes/${id}/approvals`, { verdict: 'approve', planDigest }, { origin });

  it('is taken from the sidecar’s own, for a verdict', async () => {
    sidecar = await openTestSidecar({ publicUrl: URL_, approvePage: built });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    const answered = await approve(change, URL_);
    expect(answered.status).toBe(200);
    expect([...answered.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('… and to end a standing approval', async () => {
    sidecar = await openTestSidecar({ publicUrl: URL_, approvePage: built });
    const revoke = (origin: string): Promise<Answered> => sidecar.send('person:wei', 'POST', `/v1/standing-approvals/apr_${'0'.repeat(32)}/revoke`, { reason: 'x' }, { origin });
    expect(problemIn(await revoke(URL_))).toMatchObject({ status: 404, code: 'no-such-standing-approval' });
    expect(problemIn(await revoke('https://evil.example'))).toMatchObject({ status: 403, code: 'origin-refused' });
  });

  it.each(['https://evil.example', 'http://countersign.example.org', `${URL_}:8443`, 'null', ''])('is refused from %j', async (origin) => {
    sidecar = await openTestSidecar({ publicUrl: URL_, approvePage: built });
    const change = await sidecar.change('nhi:prod/ci-deployer', GRANT);
    expect(problemIn(await approve(change, origin))).toMatchObject({ status: 403, code: 'origin-refused' });
  });

  it('is refused from its own address for anything else, and for a verdict where it has no address', async () => {
    sidecar = await openTestSidecar({ publicUrl: URL_, approvePage: built });
    for (const path of ['/v1/changes', '/v1/locks', '/v1/changes/chg_x/revoke', '/v1/changes/chg_x/approvals/x', '/v1/changes/chg_x/break-glass', '/v1/standing-approvals']) expect(problemIn(await sidecar.send('person:wei', 'POST', path, {}, { origin: URL_ }))).toMatchObject({ code: 'origin-refused' });
    await sidecar.close();
    sidecar = await openTestSidecar();
    expect(problemIn(await approve(await sidecar.change('nhi:prod/ci-deployer', GRANT), URL_))).toMatchObject({ code: 'origin-refused' });
  });
});
