import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectorConfigSchema } from '../../src/executor/config.ts';
import { TargetError } from '../../src/executor/connector.ts';
import { openConnector } from '../../src/executor/registry.ts';

const GOOD = `
class TargetError extends Error { constructor(kind, message) { super(message); this.name = 'TargetError'; this.kind = kind; } }
export const openConnector = (id, options) => ({
  describe: () => null, read: async () => { throw new TargetError('notYet', id + ' ' + options.colour); }, apply: () => { throw new RangeError('a fault of its own'); },
  probe: async () => 'absent', tryUse: async () => 'notTried', revoke: async () => 'done', close: async () => {},
});`;

describe('a connector of one’s own', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'countersign-module-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  let written = 0;
  const moduleOf = (text: string, mode = 0o644): string => {
    written += 1;
    const file = join(directory, `${written}.mjs`);
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
  };
  const open = (file: string, options: Record<string, string> = {}): ReturnType<typeof openConnector> => openConnector('own', connectorConfigSchema.parse({ kind: 'module', file, options }));
  const query = { connector: 'own', target: 't', action: 'provision' as const, account: 'a', privileges: [], clientToken: 'cs_00000000000000000000000000' };
  const signal = new AbortController().signal;

  test('is loaded from its module with its options, and its errors are taken at their word', async () => {
    const connector = await open(moduleOf(GOOD), { colour: 'red' });
    const failure: unknown = await connector.read(query, signal).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TargetError);
    expect(failure).toMatchObject({ kind: 'notYet', message: 'own red' });
    // Any other error stays what it is: whoever throws it does not say what has happened.
    const step = { ...query, stepId: 'stp_0123456789abcdef_00000000000000000000000000_r1_1' };
    await expect(connector.apply({ step, validUntil: null, secret: null, endSessions: false, signal })).rejects.toBeInstanceOf(RangeError);
    expect(await connector.probe(query, signal)).toBe('absent');
    await connector.close();
  });

  test.each([
    ['is not there', () => join('/nowhere', 'connector.js'), 'is not there'], ['others can write', () => moduleOf(GOOD, 0o664), 'others can write to it'],
    ['exports no connector', () => moduleOf('export const connector = {};'), 'exports no function openConnector'],
    ['gives less than a connector', () => moduleOf('export const openConnector = () => ({ describe: () => null, read: async () => 1 });'), 'has no apply, probe, tryUse, revoke, close'],
    ['gives nothing', () => moduleOf('export const openConnector = () => null;'), 'has no describe'],
  ])('is not loaded where its module %s', async (_what, file, message) => {
    await expect(open(file())).rejects.toMatchObject({ name: 'ConfigError', message: expect.stringContaining(message) as string });
  });
});
