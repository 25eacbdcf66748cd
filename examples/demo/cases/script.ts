/** Case 6: a script that exists is run under `countersign run`: once approved, once refused. It knows nothing of Countersign. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ChangeRequest, ChangeView } from '../../../src/client/index.ts';
import { check, until } from '../check.ts';
import { refusalOf } from '../database.ts';
import { clock, tell, title } from '../say.ts';
import type { World } from '../world.ts';
import { approve, approved, policyOf, reach, recordOf, SETTLE_MS, type Told } from './story.ts';

const SUBJECT = 'nhi:prod/ci-deployer';
const ACCOUNT = 'ci_deployer';

export async function existingScript(world: World): Promise<Told> {
  title(6, 'A rotation script that exists, run under countersign');
  const { database } = world;
  const wei = world.as('person:wei');
  const old = database.login(ACCOUNT);
  const place = join(world.paths.run, 'script');
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const change = { kind: 'rotate', subject: SUBJECT, connector: 'pg-main', target: 'app', purpose: 'deploy-orders', reason: 'the deploy password is old', window: { calendar: world.window } };
  const file = join(place, 'change.yaml');
  writeFileSync(file, stringify(change));

  const refusedRun = runScript(world, file, join(place, 'refused'));
  const refusedChange = await pendingOf(world, refusedRun);
  await wei.reject(refusedChange.id, refusedChange.planDigest!, 'not tonight');
  const refusedCode = await refusedRun.exit;
  check('a run that was rejected exits 1', refusedCode === 1, refusedRun.output());
  check('its script never ran', !existsSync(join(place, 'refused')), place);
  const still = await database.use(old, 'SELECT 1');
  check('the password is what it was', still.ok, still);
  tell('asked', `countersign run --change change.yaml -- node rotate-password.js, twice`);
  tell('decided', `once ${wei.principal} says no: exit ${refusedCode}, and the script was not started`);

  const secretFile = join(place, 'password');
  const run = runScript(world, file, secretFile);
  const asked = await pendingOf(world, run, refusedChange.id);
  await approve(wei, asked.id);
  const code = await run.exit;
  check('a run that was approved exits as its script does', code === 0, run.output());
  const done = await reach(wei, asked.id, 'done');
  tell('approved by', approved(done));
  const login = { user: ACCOUNT, password: readFileSync(secretFile, 'utf8').trim() };
  const [fresh, stale] = [await database.use(login, 'SELECT 1'), await database.use(old, 'SELECT 1')];
  check('the password that the script set works, and the old one does not', fresh.ok && !stale.ok, [fresh, stale]);
  database.setLogin(ACCOUNT, login);
  tell('done', `the ticket was checked, the script ran, exit ${code}; the old password: ${refusalOf(stale)}`);

  const evidence = await wei.evidence(asked.id);
  const readBy = evidence.records.filter(({ type }) => type === 'state.read').map(({ actor }) => actor);
  check('an executor read the account before and after', readBy.length === 2, evidence.records.map(({ type }) => type));
  tell('proven', `claimed at record ${recordOf(evidence, 'step.claimed')}, before the script began; ${readBy[0]!} read the account before and after it`);
  return { who: SUBJECT, what: 'had its password rotated by a script of its own', when: clock(done.updatedAt), policy: policyOf(evidence) };
}

interface Run {
  readonly exit: Promise<number>;
  readonly output: () => string;
}

/** The script writes the new password to `secretFile`: where it keeps it is its own business. */
function runScript(world: World, change: string, secretFile: string): Run {
  const { paths, database } = world;
  const token = world.tokenOf(SUBJECT);
  const script = join(world.root, 'dist', 'examples', 'scripts', 'rotate-password.js');
  // It would go on waiting for whoever was to decide, long after the demo.
  world.endsWith(() => end());
  const child = spawn(process.execPath, [paths.cli, 'run', '--socket', paths.socket, '--trust', paths.trust, '--change', change, '--wait', world.asks ? 'PT1H' : 'PT30S', '--timeout', 'PT1M', '--', process.execPath, script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, COUNTERSIGN_TOKEN: token, DATABASE_URL: database.adminUrl, SECRET_FILE: secretFile },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exit = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exit;
  };
  return { output: () => output, exit };
}

/** The change that the run asked for, waiting for its owner. */
async function pendingOf(world: World, run: Run, except: string | null = null): Promise<ChangeView> {
  const wei = world.as('person:wei');
  return until('the run asks', async () => {
    const { changes } = await wei.list({ subject: SUBJECT, kind: 'rotate' satisfies ChangeRequest['kind'] });
    return changes.find(({ id, state }) => id !== except && state === 'pending');
  }, { timeoutMs: SETTLE_MS }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it said: ${run.output()}`);
  });
}
