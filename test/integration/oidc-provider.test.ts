/** People log in to a real OpenID Provider, over TLS and by authorization code, and come to the sidecar with what they got there. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Client } from '../../src/client/index.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { CERTIFICATE } from '../support/door-certificate.ts';
import { EXECUTOR_ID, makeInstallation, TOKENS, type Installation } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';
import { AUDIENCE, CLIENT_SECRET, issuerLines, RESOURCE, serveOpenIdProvider, withLogins, type OpenIdProvider } from '../support/openid-provider.ts';
import { GRANT } from '../support/sidecar.ts';

const CALLBACK = 'https://app.acme.example/callback';

let provider: OpenIdProvider;
let issuer: string;
let installation: Installation;
let sidecar: Sidecar;
beforeAll(async () => {
  provider = await serveOpenIdProvider(CALLBACK);
  ({ issuer } = provider);
  installation = await makeInstallation();
  const directory = await readFile(join(import.meta.dirname, '../../examples/facts/directory.yaml'), 'utf8');
  await installation.write('directory.yaml', withLogins(directory, issuer));
  await installation.write('ca.pem', CERTIFICATE);
  const config = await readFile(installation.configPath, 'utf8');
  await installation.write('countersign.yaml', config.replace(/directory: [^}]*/, 'directory: directory.yaml').concat(issuerLines(issuer)));
  sidecar = await startSidecar(await installation.config(), { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
});
afterAll(async () => {
  await sidecar.close();
  await provider.close();
  await installation.remove();
});

interface Answer {
  readonly status: number;
  readonly location: string | null;
  readonly body: string;
}

/** A browser that follows no redirect by itself and keeps the provider's cookies. */
function browser(): (url: string, form?: Record<string, string>, headers?: Record<string, string>) => Promise<Answer> {
  const cookies = new Map<string, string>();
  return (url, form, headers = {}) => new Promise((resolve, reject) => {
    const body = form === undefined ? null : new URLSearchParams(form).toString();
    const request = httpsRequest(new URL(url, issuer), {
      ca: CERTIFICATE, method: body === null ? 'GET' : 'POST', agent: false,
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '), ...(body === null ? {} : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) }), ...headers },
    }, (answer) => {
      for (const cookie of answer.headers['set-cookie'] ?? []) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
        if (value === '') cookies.delete(name!);
        else cookies.set(name!, value!);
      }
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () => resolve({ status: answer.statusCode!, location: answer.headers.location ?? null, body: Buffer.concat(parts).toString() }));
      answer.on('error', reject);
    });
    request.on('error', reject);
    request.end(body ?? undefined);
  });
}

const asClient = (id: string): Record<string, string> => ({ authorization: `Basic ${Buffer.from(`${id}:${CLIENT_SECRET}`).toString('base64')}` });
const tokensIn = ({ status, body }: Answer): { access_token: string; id_token?: string } => {
  expect(status, body).toBe(200);
  return JSON.parse(body) as { access_token: string; id_token?: string };
};

/** Logs in as `account`, consents, and changes the code for tokens. */
async function logIn(account: string, resource = RESOURCE): Promise<{ access_token: string; id_token?: string }> {
  const go = browser();
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: 'console', response_type: 'code', scope: 'openid changes', redirect_uri: CALLBACK, resource, state: 's',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  let answer = await go(`/auth?${query.toString()}`);
  for (const form of [{ prompt: 'login', login: account, password: 'any' }, { prompt: 'consent' }]) {
    expect(answer.location, answer.body).toMatch(/\/interaction\//);
    answer = await go((await go(answer.location!, form)).location!);
  }
  const code = new URL(answer.location!).searchParams.get('code')!;
  return tokensIn(await go('/token', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier, resource }, asClient('console')));
}

const clientWith = (token: string): Client => connect({ url: sidecar.url!, token });

describe('somebody who has logged in to an OpenID Provider', () => {
  it('asks and approves as the person whose login it is, on record, and not what she asked for herself', async () => {
    const { access_token: token } = await logIn('u-wei');
    const wei = clientWith(token);
    const change = await connect({ url: sidecar.url!, token: TOKENS['nhi:prod/ci-deployer']! }).request(GRANT, { waitSeconds: 20 });
    expect(change.state, JSON.stringify(change.decision)).toBe('pending');
    const approved = await wei.approve(change.id, change.planDigest!);
    expect(approved.approvals).toEqual([expect.objectContaining({ approver: 'person:wei', proofClass: 'session' })]);
    const { records } = await wei.evidence(change.id);
    const bodies = records.map((one) => JSON.stringify(one));
    expect(bodies.some((one) => one.includes('"approval.recorded"') && one.includes(issuer))).toBe(true);
    expect(bodies.some((one) => token.split('.').some((part) => one.includes(part)))).toBe(false);

    const own = await wei.request(GRANT, { waitSeconds: 20 });
    expect(own.requester).toEqual(['person:wei']);
    await expect(wei.approve(own.id, own.planDigest!)).rejects.toMatchObject({ code: 'self-approval' });
  });

  it('is nobody with an ID token, which is for the application, or with a token for another resource', async () => {
    const { id_token: idToken } = await logIn('u-wei');
    expect(decodeJwt(idToken!).sub).toBe('u-wei');
    await expect(clientWith(idToken!).list()).rejects.toMatchObject({ code: 'token-refused' });
    const { access_token: elsewhere } = await logIn('u-wei', 'https://another.acme.example');
    await expect(clientWith(elsewhere).list()).rejects.toMatchObject({ code: 'token-refused', message: expect.stringContaining('claim aud') as unknown });
  });

  it('is nobody where the directory does not have her login, or has her as gone', async () => {
    for (const account of ['u-stranger', 'u-kim']) {
      const { access_token: token } = await logIn(account);
      await expect(clientWith(token).list()).rejects.toMatchObject({ code: 'token-not-mapped' });
    }
  });

  it('is no client with a token of its own', async () => {
    const { access_token: token } = tokensIn(await browser()('/token', { grant_type: 'client_credentials', resource: RESOURCE, scope: 'changes' }, asClient('robot')));
    expect(decodeJwt(token)).toMatchObject({ sub: 'robot', aud: AUDIENCE });
    await expect(clientWith(token).list()).rejects.toMatchObject({ code: 'token-not-mapped' });
  });
});
