/** Who has a sidecar to talk to, and a token, in a folder of her own needs to say neither. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
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
const listed = async (env: Record<string, string>): Promise<string> => (await desk.with({ env }).run('changes', 'list')).stderr;

it('is in XDG_CONFIG_HOME, or in .config of her home, and what is said otherwise comes first', async () => {
  const [xdg, home] = [join(desk.directory, 'xdg'), join(desk.directory, 'home')];
  writeOwn(join(xdg, 'countersign'));
  writeOwn(join(home, '.config/countersign'));
  expect(await listed({ XDG_CONFIG_HOME: xdg, HOME: home })).toContain(`(unreachable): cannot reach the sidecar at ${join(xdg, 'countersign/nobody.sock')}`);
  expect(await listed({ XDG_CONFIG_HOME: 'xdg', HOME: home })).toContain(join(home, '.config/countersign/nobody.sock'));
  expect(await listed({ HOME: home, COUNTERSIGN_SOCKET: 'said.sock' })).toContain(join(desk.directory, 'said.sock'));
  writeFileSync(join(desk.directory, 'countersign.yaml'), 'listen: {socket: here.sock}\n');
  expect(await listed({ HOME: home })).toContain(join(desk.directory, 'here.sock'));
  expect(await listed({})).toContain('(no-token)');
});

it('has a token that nobody else can read, or none', async () => {
  writeOwn(join(desk.directory, '.config/countersign'), 0o644);
  expect(await listed({ HOME: desk.directory })).toContain('(too-open)');
});
