import { expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';

const CONFIG = {
  origin: 'x.example/log', data: 'data', listen: { port: 0 }, tokens: 't', keys: { log: 'l', ticket: 't' }, trust: 'trust', facts: { inventory: 'i', catalogue: 'c', directory: 'd' }, executors: [],
};
const keys = [{ file: 'policy.pem', algorithm: 'ES256' }];
const takes = (more: object): boolean => configSchema.safeParse({ ...CONFIG, ...more }).success;

it('policy is fetched over https, or from this machine, with a key that says whom to believe', () => {
  for (const url of ['https://bundles.example/b.tar.gz?x=1', 'http://127.0.0.1:8080/b', 'http://localhost/b', 'http://[::1]:1/b']) expect(takes({ policySource: { keys, url } }), url).toBe(true);
  for (const url of ['http://bundles.example/b', 'https://user:word@bundles.example/b', 'https://bundles.example/b#x', 'file:///b', 'http://127.0.0.1.example/b']) expect(takes({ policySource: { keys, url } }), url).toBe(false);
  for (const wrong of [[], [{ file: 'policy.pem' }], [{ file: 'policy.pem', algorithm: 'HS256' }]]) expect(takes({ policySource: { keys: wrong, url: 'https://bundles.example/b' } })).toBe(false);
});

it('policy is in one place: a url, or a folder', () => {
  expect(takes({ policy: 'policy', policySource: { keys } })).toBe(true);
  expect(takes({ policySource: { keys } })).toBe(false);
  expect(takes({ policy: 'policy', policySource: { keys, url: 'https://bundles.example/b' } })).toBe(false);
  expect(takes({ policy: 'policy', policySource: { keys, token: 'token' } })).toBe(false);
});
