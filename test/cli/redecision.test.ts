import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { EngineFault } from '../../src/pdp/engine.ts';
import { factsOf } from '../../src/facts/facts.ts';
import type { Redecision } from '../../src/protocol/decision.ts';
import { PREVIEW, settled } from '../support/replayed.ts';
import { serveTestSidecar, type ServedSidecar } from '../support/served.ts';
import { answerOf, scriptedPdp, tokenOf } from '../support/sidecar.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

let answer: () => Promise<Redecision>;
let sidecar: ServedSidecar;
let desk: Desk;
let changes: string[];

const of = (effect: Redecision['effect']) => async (): Promise<Redecision> => ({ effect, reasons: answerOf('deny').reasons, controls: [] });
const as = (principal: string, ...args: string[]): Promise<Ran> => desk.with({ env: { COUNTERSIGN_TOKEN: tokenOf(principal), COUNTERSIGN_SOCKET: sidecar.socket } }).run('redecision', ...args);
/** Other facts are in force, which policy is asked on. */
function loadOthers(): void {
  const { value } = sidecar.facts;
  sidecar.load(factsOf({ ...value, directory: { ...value.directory, people: [...value.directory.people].reverse() } }, Date.now()));
}
const until = (exit: number): Promise<Ran> => vi.waitFor(async () => {
  const ran = await as('person:sam', 'list');
  expect(ran.exit).toBe(exit);
  return ran;
}, { timeout: 15_000, interval: 20 });

beforeEach(async () => {
  answer = of('keep');
  sidecar = await serveTestSidecar({ pdp: { ...scriptedPdp(() => answerOf('allow')), redecide: () => answer() }, redecision: { everyMs: 5, confirmAbove: { percent: 20, leases: 1 } } });
  desk = openDesk();
  changes = [];
  for (let n = 0; n < 2; n += 1) changes.push((await settled(sidecar, PREVIEW.subject, await sidecar.change(PREVIEW.subject, PREVIEW), 'active')).id);
});
afterEach(async () => {
  await sidecar.close();
  desk.remove();
});

it('what waits is listed with why, and the command that takes back just that', async () => {
  expect(await as('person:sam', 'list')).toMatchObject({ exit: 0, stdout: 'nothing waits for a person\n' });
  answer = of('revoke');
  loadOthers();
  const { stdout } = await until(5);
  for (const change of changes) expect(stdout).toContain(`${change}  ${PREVIEW.subject}  exceeds-purpose  (person:ana owns this)`);
  const [, digest] = /2 of 2 leases would be taken back: {2}countersign redecision confirm (sha256:[0-9a-f]{64})\n/.exec(stdout) ?? [];
  expect((await as('person:mallory', 'confirm', digest!)).exit).not.toBe(0);
  expect(await as('person:ana', 'confirm', digest!, '--comment', 'the partner has left')).toMatchObject({ exit: 0, stdout: changes.map((change) => `${change}  is being taken back\n`).join('') });
  await until(0);
});

it('and that policy gave no answer, which takes nothing back', async () => {
  answer = () => Promise.reject(new EngineFault('undefined-result', 'as the test says'));
  loadOthers();
  expect((await until(3)).stdout).toBe('policy gave no answer about 2 of 2 leases (undefined-result): nothing is taken back for it, and it is asked again\nnothing waits for a person\n');
});
