/** Who has a sidecar to talk to, and a token, in a folder of her own needs to say neither. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
beforeEach(() => {
  desk = openDesk();
});
afterEach(() => desk.remove());

function writeOwn(folder: string, mode = 0o600): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'countersign.yaml'), 'listen: {socket: nobody.sock}\n');
  writeFileSync(join(folder, 'token'), 'cst_of-her-own\n', { mode });
  chmodSync(join(folder, 'token'), mode);
}
const listed = async (env: Record<string, string>, ...more: string[]): Promise<string> => (await desk.with({ env }).run('changes', 'list', ...more)).stderr;

it('is in XDG_CONFIG_HOME, or in .config of her home, and what is said otherwise comes first', async () => {
  const [xdg, home] = [join(desk.directory, 'xdg'), join(desk.directory, 'home')];
  writeOwn(join(xdg, 'countersign'));
  writeOwn(join(home, '.config/countersign'));
  expect(await listed({ XDG_CONFIG_HOME: xdg, HOME: home })).toContain(`(unreachable): cannot reach the sidecar at ${join(xdg, 'countersign/nobody.sock')}`);
  expect(await listed({ XDG_CONFIG_HOME: 'xdg', HOME: home })).toContain(join(home, '.config/countersign/nobody.sock'));
  expect(await listed({ HOME: home, COUNTERSIGN_SOCKET: 'said.sock' })).toContain(join(desk.directory, 'said.sock'));
  writeFileSync(join(desk.directory, 'countersign.yaml'), 'listen: {socket: here.sock}\n');
  expect(await listed({ HOME: home, COUNTERSIGN_TOKEN: 'cst_said' })).toContain(join(desk.directory, 'here.sock'));
  expect(await listed({})).toContain('(no-token)');
});

it('has a token that goes nowhere because of a file that lies where she works', async () => {
  const home = join(desk.directory, 'home');
  writeOwn(join(home, '.config/countersign'));
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.headers.authorization);
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  try {
    writeFileSync(join(desk.directory, 'countersign.yaml'), `listen: {host: 127.0.0.1, port: ${(server.address() as AddressInfo).port}}\n`);
    expect(await listed({ HOME: home })).toMatch(/\(no-token\).*countersign\.yaml was found in the working directory.*Nothing was sent\..*--config FILE/s);
    expect(asked).toEqual([]);
    await listed({ HOME: home }, '--config', 'countersign.yaml');
    expect(asked[0]).toBe('Bearer cst_of-her-own');
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

it('has a token that nobody else can read, or none', async () => {
  writeOwn(join(desk.directory, '.config/countersign'), 0o644);
  expect(await listed({ HOME: desk.directory })).toContain('(too-open)');
});
