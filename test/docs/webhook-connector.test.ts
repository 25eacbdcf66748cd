import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, it, vi } from 'vitest';
import { webhookAnswerSchema, webhookRequestSchema } from '../../src/connectors/webhook/protocol.ts';

const page = await readFile(join(import.meta.dirname, '../../docs/connectors/webhook.md'), 'utf8');
const documents = (name: string): string[] => [...page.matchAll(new RegExp(`^\`\`\`json schema=${name}\n([^]*?)\n\`\`\`$`, 'gm'))].map((match) => match[1]!);

it('the webhook protocol’s worked example is of the protocol, and all of it is', () => {
  const [requests, answers] = [documents('webhook-request'), documents('webhook-answer')];
  expect([requests.length, answers.length]).toEqual([2, 2]);
  expect(page.match(/^```json/gm)).toHaveLength(4);
  for (const text of requests) expect(webhookRequestSchema.safeParse(JSON.parse(text)).error).toBeUndefined();
  for (const text of answers) expect(webhookAnswerSchema.safeParse(JSON.parse(text)).error).toBeUndefined();
});

it('the webhook protocol’s worked example verifies with the standard’s own library', () => {
  const [body] = documents('webhook-request');
  const headers = Object.fromEntries([...page.matchAll(/^(webhook-[a-z]+): (.*)$/gm)].map(([, name, value]) => [name!, value!]));
  const secret = /`(whsec_[^`]*=)`/.exec(page)![1]!;
  vi.useFakeTimers({ now: Date.parse('2026-11-23T19:05:01.000Z') });
  try {
    expect(new Webhook(secret).verify(body!, headers)).toMatchObject({ operation: 'apply' });
    expect(() => new Webhook(secret).verify(body!.replace('orders:read', 'orders:write'), headers)).toThrow();
  } finally {
    vi.useRealTimers();
  }
});
