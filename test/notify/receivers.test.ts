import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, type ConfigIssue } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { openReceivers } from '../../src/notify/receivers.ts';
import { readWebhookSecrets } from '../../src/webhook/secrets.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { listen, SECRET } from './support.ts';

const YAML = `
origin: example.org/countersign
data: data
listen: {socket: run/countersign.sock}
tokens: tokens.json
keys: {log: keys/log.key, ticket: keys/ticket.key}
trust: trust
facts: {inventory: facts/inventory.yaml, catalogue: facts/catalogue.yaml, directory: facts/directory.yaml}
executors:
  - {id: executor:pg-1, socket: run/pg-1.sock, connectors: [pg-main]}
webhooks:
`;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-webhooks-'));
});
afterAll(() => rm(directory, { recursive: true }));

let files = 0;
async function file(text: string, mode = 0o600): Promise<string> {
  const path = join(directory, `file-${(files += 1)}`);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}
async function configured(...webhooks: readonly string[]): Promise<Config> {
  return (await loadConfig({ path: await file(YAML + webhooks.map((one) => `  - ${one}\n`).join('')) })).config;
}

describe('a webhook in the configuration', () => {
  it('is told of everything, over https, at public addresses, unless it says otherwise', async () => {
    const { webhooks } = await configured('{name: ops, url: "https://ops.example/hooks?a=b", secret: keys/ops.whsec}');
    expect(webhooks).toEqual([{ name: 'ops', url: 'https://ops.example/hooks?a=b', secret: join(directory, 'keys/ops.whsec'), coalesceSeconds: 0, allowHttp: false, allowPrivate: false }]);
  });

  it.each([
    ['http', '{name: ops, url: "http://ops.example/", secret: s}', '/webhooks/0/url'],
    ['a file', '{name: ops, url: "file:///etc/passwd", secret: s, allowHttp: true}', '/webhooks/0/url'],
    ['a socket', '{name: ops, url: "unix:/run/docker.sock", secret: s, allowHttp: true}', '/webhooks/0/url'],
    ['no URL', '{name: ops, url: "ops.example", secret: s}', '/webhooks/0/url'],
    ['a password in the URL', '{name: ops, url: "https://me:secret@ops.example/", secret: s}', '/webhooks/0/url'],
    ['a fragment', '{name: ops, url: "https://ops.example/#x", secret: s}', '/webhooks/0/url'],
    ['an event that there is not', '{name: ops, url: "https://ops.example/", secret: s, events: [approval.asked]}', '/webhooks/0/events/0'],
    ['no events, which would be none', '{name: ops, url: "https://ops.example/", secret: s, events: []}', '/webhooks/0/events'],
    ['a misspelt key', '{name: ops, url: "https://ops.example/", secret: s, allowPrivat: true}', '/webhooks/0/allowPrivat'],
    ['a name with a space', '{name: "o ps", url: "https://ops.example/", secret: s}', '/webhooks/0/name'],
    ['no secret', '{name: ops, url: "https://ops.example/"}', '/webhooks/0/secret'],
  ])('is refused with %s', async (_what, webhook, pointer) => {
    const issues: readonly ConfigIssue[] = await configured(webhook).then(() => [], (error: unknown) => (error as ConfigError).issues);
    expect(issues.map((issue) => issue.pointer)).toEqual([pointer]);
  });

  it('is refused twice by one name: a name is what records know it by', async () => {
    await expect(configured('{name: ops, url: "https://a.example/", secret: s}', '{name: ops, url: "https://b.example/", secret: s}')).rejects.toBeInstanceOf(ConfigError);
  });

  it('becomes a receiver that is told', async () => {
    const { port, received, close } = await listen((_request, response) => response.end());
    const secret = await file(`${SECRET}\n`);
    const { webhooks } = await configured(
      `{name: ops, url: "http://127.0.0.1:${port}/", secret: ${secret}, allowHttp: true, allowPrivate: true, events: [window.opened], consumers: [shop]}`,
      `{name: public, url: "http://localhost:${port}/", secret: ${secret}, allowHttp: true}`,
    );
    const [ops, careful] = await openReceivers(webhooks, { clock: systemClock, version: '1.2.3' });
    const message = { id: 'msg_1', body: '{}' };
    expect(await ops!.send(message, new AbortController().signal)).toEqual({ delivered: true });
    expect(await careful!.send(message, new AbortController().signal)).toEqual({ delivered: false, gone: false, reason: 'the address is not allowed' });
    await close();
    expect(ops).toMatchObject({ name: 'ops', events: ['window.opened'], consumers: ['shop'] });
    expect(careful).toMatchObject({ name: 'public', events: null, consumers: null });
    expect(received.map(({ headers }) => headers['user-agent'])).toEqual(['countersign/1.2.3']);
  });
});

describe('the secrets of a webhook', () => {
  it('are one, or two while the receiver changes over', async () => {
    const other = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
    expect(await readWebhookSecrets(await file(`${SECRET}\n`))).toEqual([SECRET]);
    expect(await readWebhookSecrets(await file(`${other}\r\n\n${SECRET}`))).toEqual([other, SECRET]);
  });

  it('are their owner’s alone', async () => {
    await expect(readWebhookSecrets(await file(SECRET, 0o640))).rejects.toThrow('others can read or write it');
    await expect(readWebhookSecrets(join(directory, 'absent'))).rejects.toThrow('cannot be read');
  });

  it.each([
    ['nothing', ''], ['no prefix', Buffer.alloc(32, 7).toString('base64')], ['something else', 'sk_live_0123456789abcdef0123456789abcdef'], ['too short', `whsec_${Buffer.alloc(23, 7).toString('base64')}`],
    ['too long', `whsec_${Buffer.alloc(65, 7).toString('base64')}`], ['not base64', `${SECRET}!`], ['another spelling', SECRET.replace(/=+$/, '')], ['three', `${SECRET}\n${SECRET}\n${SECRET}`],
  ])('are refused where the file holds %s, and not quoted', async (_what, text) => {
    const path = await file(text);
    const error: unknown = await readWebhookSecrets(path).then(() => null, (reason: unknown) => reason);
    expect(String(error)).toContain(`${path}: holds no webhook secret`);
    if (text.length > 10) expect(String(error)).not.toContain(text.slice(6, 16));
  });
});
