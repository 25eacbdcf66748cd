import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { NOTIFICATION_EVENTS } from '../../src/change/events.ts';
import { configSchema } from '../../src/config/schema.ts';
import { notificationMessageSchema } from '../../src/notify/payload.ts';
import { webhookSender } from '../../src/notify/webhook.ts';
import { systemClock } from '../../src/sidecar/system.ts';
import { SECRET } from './support.ts';

const ROOT = join(import.meta.dirname, '../..');
let page = '';
beforeAll(async () => {
  page = await readFile(join(ROOT, 'docs/notifications.md'), 'utf8');
});
const blocks = (language: string): string[] => [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)\n\`\`\`$`, 'gm'))].map((match) => match[1]!);

describe('the page on notifications', () => {
  it('shows what is really sent', () => {
    expect(blocks('json').length).toBeGreaterThan(1);
    for (const text of blocks('json')) expect(() => notificationMessageSchema.parse(JSON.parse(text))).not.toThrow();
  });

  it('names every event', () => {
    expect([...page.matchAll(/^\| `([a-z]+\.[a-z]+)` \|/gm)].map((match) => match[1])).toEqual([...NOTIFICATION_EVENTS]);
  });

  it('configures what the configuration knows', () => {
    const { webhooks } = parse(blocks('yaml')[0]!) as { webhooks: unknown };
    expect(configSchema.shape.webhooks.parse(webhooks)).toMatchObject([{ name: 'ops' }, { name: 'shop', allowPrivate: true }]);
  });
});

describe('the receiver on the page', () => {
  let port = 0;
  const said: string[] = [];
  let look = (): void => undefined;
  const printed = (lines: number): Promise<void> => new Promise((resolve) => {
    look = () => said.length >= lines && resolve();
    look();
  });
  let child: ReturnType<typeof spawn>;
  beforeAll(async () => {
    child = spawn(process.execPath, ['--input-type=module', '--eval', blocks('js')[0]!], { cwd: ROOT, env: { WEBHOOK_SECRET: SECRET, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`the receiver ended with ${code ?? 'a signal'}`)));
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const listening = /^listening on (\d+)$/.exec(line)?.[1];
        if (listening === undefined) {
          said.push(line);
          look();
        } else {
          port = Number(listening);
          resolve();
        }
      });
    });
  });
  afterAll(() => void child.kill('SIGKILL'));

  it('takes in what is signed, once, and turns down what is not', async () => {
    const message = { id: 'msg_0123456789abcdef0123456789abcdef', body: JSON.stringify(JSON.parse(blocks('json')[0]!)) };
    const send = webhookSender({ url: `http://127.0.0.1:${port}/`, secrets: [SECRET], allowHttp: true, allowPrivate: true, clock: systemClock, userAgent: 'countersign/test' });
    const never = new AbortController().signal;
    expect(await send(message, never)).toEqual({ delivered: true });
    expect(await send(message, never)).toEqual({ delivered: true });
    expect(await send({ ...message, id: 'msg_another' }, never)).toEqual({ delivered: true });

    const stranger = webhookSender({ url: `http://127.0.0.1:${port}/`, secrets: [`whsec_${Buffer.alloc(32, 8).toString('base64')}`], allowHttp: true, allowPrivate: true, clock: systemClock, userAgent: 'x' });
    expect(await stranger(message, never)).toEqual({ delivered: false, gone: false, reason: 'answered 401' });
    const late = { ...systemClock, nowMs: () => Date.now() - 600_000 };
    const replayed = webhookSender({ url: `http://127.0.0.1:${port}/`, secrets: [SECRET], allowHttp: true, allowPrivate: true, clock: late, userAgent: 'x' });
    expect(await replayed({ ...message, id: 'msg_late' }, never)).toEqual({ delivered: false, gone: false, reason: 'answered 401' });
    // What it prints comes by another way than what it answers.
    await printed(2);
    expect(said).toEqual(Array.from({ length: 2 }, () => 'approval.requested chg_3dfc5f0e30f90517_01M8571XRWJ2028CSGVGJ3QSF9 record 6'));
  });

  it('verifies as the page says that it is done by hand', () => {
    const by = createHmac('sha256', Buffer.from(SECRET.slice('whsec_'.length), 'base64')).update('msg_1.1700000000.{}').digest('base64');
    expect(new Webhook(SECRET).sign('msg_1', new Date(1_700_000_000_000), '{}')).toBe(`v1,${by}`);
  });
});
