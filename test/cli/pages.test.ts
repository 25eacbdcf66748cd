/** Lists of a sidecar that always says there is more. */
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { firstOf } from '../../src/cli/pages.ts';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
let liar: Server;
let url: string;
/** How many entries each of its pages has. */
let size = 0;
let asked: URL[] = [];
beforeAll(async () => {
  desk = openDesk().with({ env: { COUNTERSIGN_TOKEN: 'a-token' } });
  liar = createServer((request, response) => {
    asked.push(new URL(request.url!, url));
    const entries = Array.from({ length: size }, (_none, at) => ({
      id: `chg_${asked.length}_${at}`, state: 'pending', kind: 'grant', subject: 'nhi:prod/a', entitlements: [], system: null,
      approvalId: `apr_${asked.length}_${at}`, statement: { approver: 'person:wei', subject: 'nhi:prod/a', kinds: ['grant'], connector: 'pg', target: 'app', uses: 2, notBefore: '2026-01-01T00:00:00.000Z', expiresAt: '2999-01-01T00:00:00.000Z' }, used: 0, revoked: null,
    }));
    // More than these would ask it for ever: the test must end all the same.
    const next = asked.length > 50 ? null : `page-${asked.length}`;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ changes: entries, standingApprovals: entries, next }));
  });
  liar.listen(0, '127.0.0.1');
  await once(liar, 'listening');
  url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`;
});
afterAll(() => {
  liar.close();
  liar.closeAllConnections();
  desk.remove();
});
beforeEach(() => {
  asked = [];
});

describe.each(['changes', 'standing'])('%s list', (list) => {
  it('asks for no more than so many, and says that there are more', async () => {
    size = 4;
    const { exit, stdout, stderr } = await desk.run(list, 'list', '--limit', '10', '--url', url);
    expect(exit).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(10);
    expect(stderr).toContain('there are more than these 10: --limit');
    expect(asked.map(({ searchParams }) => [searchParams.get('limit'), searchParams.get('cursor')])).toEqual([['10', null], ['6', 'page-1'], ['2', 'page-2']]);
  });

  it('ends at a page with nothing in it that names another', async () => {
    size = 0;
    const { exit, stderr } = await desk.run(list, 'list', '--url', url);
    expect([exit, asked.length]).toEqual([4, 1]);
    expect(stderr).toContain('error (unexpected-answer): the sidecar answered an empty page, and says that there is another');
  });

  it.each(['0', '-1', 'all', '1000000'])('takes no --limit of %s', async (limit) => {
    expect((await desk.run(list, 'list', `--limit=${limit}`, '--url', url)).exit).toBe(2);
    expect(asked).toEqual([]);
  });
});

it('shows all of a list that is shorter, and has no more than its last page says', async () => {
  const pages = [{ all: [1, 2, 3], next: 'a' }, { all: [], next: null }];
  expect(await firstOf(10, () => Promise.resolve(pages.shift()!))).toEqual({ all: [1, 2, 3], next: null });
});
