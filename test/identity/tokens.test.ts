import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashToken, loadTokens, makeTokens, newToken, type TokensFile } from '../../src/identity/tokens.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'countersign-tokens-'));
});
afterAll(() => rm(directory, { recursive: true }));

const TOKEN = newToken((length) => new Uint8Array(length).fill(7));
const FILE: TokensFile = [
  { principal: 'person:wei', roles: ['approver'], tokenSha256: hashToken(TOKEN) },
  { principal: 'nhi:prod/ci-deployer', roles: ['caller'], tokenSha256: hashToken('another') },
];
const write = async (name: string, content: string, mode = 0o600): Promise<string> => {
  const path = join(directory, name);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
};

describe('a token', () => {
  it('stands for its principal and roles', () => {
    const who = makeTokens(FILE).authenticate(`Bearer ${TOKEN}`);
    expect(who).toEqual({ principal: 'person:wei', roles: new Set(['approver']) });
    expect(makeTokens(FILE).authenticate('bearer another')?.principal).toBe('nhi:prod/ci-deployer');
  });

  it.each([undefined, '', 'Bearer', 'Bearer ', TOKEN, `Basic ${TOKEN}`, `Bearer  ${TOKEN}`, `Bearer ${TOKEN} `, `Bearer ${TOKEN}\n`, `Bearer ${hashToken(TOKEN)}`, `Bearer ${'x'.repeat(10_000)}`])(
    'is not %j', (header) => {
      expect(makeTokens(FILE).authenticate(header)).toBeNull();
    },
  );

  it('of whom nobody is listed is nobody’s', () => {
    expect(makeTokens([]).authenticate(`Bearer ${TOKEN}`)).toBeNull();
  });

  it('may not stand for two', () => {
    expect(() => makeTokens([FILE[0]!, { ...FILE[1]!, tokenSha256: hashToken(TOKEN) }])).toThrow('listed twice');
  });

  it('is 32 random bytes behind a prefix that scanners find', () => {
    expect(TOKEN).toMatch(/^cst_[A-Za-z0-9_-]{43}$/);
  });
});

describe('the tokens file', () => {
  it('is read when it is its owner’s alone', async () => {
    const tokens = await loadTokens(await write('good.json', JSON.stringify(FILE)));
    expect(tokens.authenticate(`Bearer ${TOKEN}`)?.principal).toBe('person:wei');
  });

  it.each([0o640, 0o604, 0o660, 0o620, 0o644, 0o666])('is refused with mode %o', async (mode) => {
    await expect(loadTokens(await write(`mode-${mode}.json`, JSON.stringify(FILE), mode))).rejects.toThrow(/others can read or write it.*chmod 600/);
  });

  it('is refused through a link to one that others can read', async () => {
    const path = await write('open.json', JSON.stringify(FILE), 0o644);
    await symlink(path, join(directory, 'link.json'));
    await expect(loadTokens(join(directory, 'link.json'))).rejects.toThrow('others can read');
  });

  it('is refused when it is not there, or a directory', async () => {
    await expect(loadTokens(join(directory, 'absent.json'))).rejects.toThrow('ENOENT');
    await expect(loadTokens(directory)).rejects.toThrow('not a plain file');
  });

  it.each([
    ['an unknown field', '[{"principal":"person:wei","roles":["approver"],"tokenSha256":"00","admin":true}]'],
    ['an unknown role', JSON.stringify([{ ...FILE[0], roles: ['root'] }])],
    ['no role', JSON.stringify([{ ...FILE[0], roles: [] }])],
    ['a token in clear', JSON.stringify([{ ...FILE[0], tokenSha256: TOKEN }])],
    ['a part of the control plane', JSON.stringify([{ ...FILE[0], principal: 'sidecar:x' }])],
    ['a key twice', '[{"principal":"person:wei","principal":"person:ana","roles":["approver"],"tokenSha256":"00"}]'],
    ['not a list', '{}'],
  ])('is refused with %s', async (name, content) => {
    await expect(loadTokens(await write(`${name}.json`, content))).rejects.toThrow();
  });
});
