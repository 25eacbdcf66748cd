import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSigner } from '../../ledger/index.ts';
import { layOutExample, type Layout } from '../../src/cli/init.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { scriptedExecutor, type ScriptedExecutor } from '../support/scripted-executor.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

/** A real sidecar on a unix socket; only the executor behind it is played. */
let desk: Desk;
let layout: Layout;
let sidecar: Sidecar;
let executor: ScriptedExecutor;

beforeAll(async () => {
  desk = openDesk();
  layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
  executor = scriptedExecutor('executor:main', parseSigner(readFileSync(join(layout.directory, 'keys', 'executor.key'), 'utf8').trim()), () => Date.now());
  const { config } = await loadConfig({ path: layout.config });
  sidecar = await startSidecar({ ...config, logLevel: 'silent' }, { transport: executor });
  desk = desk.with({ cwd: layout.directory });
});
afterAll(async () => {
  await sidecar.close();
  desk.remove();
});

const GRANT = ['--kind', 'grant', '--subject', 'nhi:prod/ci-deployer', '--purpose', 'deploy-orders', '--entitlement', 'pg-main/app/role:deploy', '--reason', 'deploy 42', '--duration', 'PT10M'];
const as = (principal: string): string[] => ['--as', principal];
const grant = (...more: string[]): Promise<Ran> => desk.run('request', ...GRANT, ...as('nhi:prod/ci-deployer'), '--json', ...more);
const json = (ran: Ran): { id: string; state: string; planDigest: string } => JSON.parse(ran.stdout) as { id: string; state: string; planDigest: string };

describe('request', () => {
  it('shows what policy asks for, and who is to approve', async () => {
    const { exit, stdout, stderr } = await desk.run('request', '-f', 'requests/billing-export.yaml', ...as('nhi:prod/billing-export'));
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^chg_\S+ {2}pending\n/);
    expect(stdout).toContain('table:public.invoices:SELECT');
    expect(stdout).toMatch(/approvers +.*person:ana/);
    expect(stderr).toMatch(/waits for approval: {2}countersign approve chg_/);
  });

  it('exits 1 for what policy denies, with the excess and what would do instead', async () => {
    const { exit, stdout } = await desk.run('request', ...GRANT.map((one) => (one === 'pg-main/app/role:deploy' ? 'pg-main/app/role:app_owner' : one)), ...as('nhi:prod/ci-deployer'));
    expect(exit).toBe(1);
    expect(stdout).toContain('denied');
    expect(stdout).toContain('beyond the purpose: pg-main / app / role:app_owner');
    expect(stdout).toMatch(/this would do: .*role:deploy/);
  });

  it('--wait exits 5 while nobody has decided', async () => {
    await grant('--idempotency-key', 'run-6');
    const ran = await grant('--idempotency-key', 'run-6', '--wait', 'PT1S');
    expect(ran.exit).toBe(5);
    expect(json(ran).state).toBe('pending');
  });

  it('--wait exits 0 once the access is there', async () => {
    const key = 'run-7';
    const { id, planDigest } = json(await grant('--idempotency-key', key));
    const waiting = grant('--idempotency-key', key, '--wait=PT20S');
    expect((await desk.run('approve', id, '--plan-digest', planDigest, ...as('person:wei'))).exit).toBe(0);
    const ran = await waiting;
    expect([ran.exit, json(ran).id, json(ran).state]).toEqual([0, id, 'active']);
  });

  it('--wait exits 1 once it is rejected', async () => {
    const { id, planDigest } = json(await grant('--idempotency-key', 'run-8'));
    const waiting = grant('--idempotency-key', 'run-8', '--wait');
    expect((await desk.run('reject', id, '--plan-digest', planDigest, '--comment', 'not today', ...as('person:wei'))).exit).toBe(0);
    expect((await waiting).exit).toBe(1);
  });

  it('one that is given up says that the change goes on, and how to see it', async () => {
    const { id } = json(await grant('--idempotency-key', 'run-9'));
    const gone = desk.with({ signal: AbortSignal.abort() });
    const waited = await gone.run('request', ...GRANT, ...as('nhi:prod/ci-deployer'), '--idempotency-key', 'run-9', '--wait');
    const watched = await gone.run('changes', 'watch', id, '--json', ...as('nhi:prod/ci-deployer'));
    expect([waited.exit, waited.stderr]).toEqual([5, expect.stringContaining(`${id} is recorded, and goes on.\nnext: countersign changes watch ${id}`)]);
    expect(watched).toEqual({ exit: 5, stdout: '', stderr: '' });
  });

  it('reads a request from standard input', async () => {
    const text = JSON.stringify({ kind: 'grant', subject: 'nhi:prod/ci-deployer', purpose: 'deploy-orders', reason: 'by pipe', duration: 'PT5M', entitlements: [{ connector: 'pg-main', target: 'app', privilege: 'role:deploy' }] });
    const ran = await desk.with({ readStdin: () => Promise.resolve(Buffer.from(text)) }).run('request', '-f', '-', '--json', ...as('nhi:prod/ci-deployer'));
    expect([ran.exit, json(ran).state]).toEqual([0, 'pending']);
  });

  it.each([
    ['nothing to ask for', ['request'], 'usage'],
    ['a request that is none', ['request', ...GRANT, '--duration', 'an hour'], 'invalid-request'],
    ['a wait that is no duration', ['request', ...GRANT, '--wait', 'forever'], 'usage'],
    ['no such command', ['requst'], null],
  ])('%s is 2', async (_what, argv, code) => {
    const { exit, stdout } = await desk.run(...argv, ...(code === null ? [] : [...as('nhi:prod/ci-deployer'), '--json']));
    expect(exit).toBe(2);
    if (code !== null) expect(JSON.parse(stdout)).toMatchObject({ error: { code } });
  });
});

describe('a request that is refused before it is sent says what is wrong with it', () => {
  const given = (text: string): Desk => desk.with({ readStdin: () => Promise.resolve(Buffer.from(text)) });
  it.each<[string, string[], string, string]>([
    ['a flag beside a file', ['-f', 'requests/billing-export.yaml', '--duration', 'PT1M', '--ends-by', 'x'], '', 'give -f or --duration, --ends-by, not both'],
    ['a wait', [...GRANT, '--wait', '5'], '', '--wait takes a duration such as PT10M, and 5 is not'],
    ['a field that was a flag', [...GRANT, '--duration', '5'], '', 'the request asks for nothing that can be asked for: --duration: '],
    ['a file', ['-f', 'tokens.json'], '', 'tokens.json asks for nothing that can be asked for'],
    ['standard input', ['-f', '-'], '{"kind": "grant"}', 'standard input asks for nothing that can be asked for: /subject'],
    ['nesting without end', ['-f', '-'], '['.repeat(50_000), 'standard input is nested too deep'],
  ])('%s', async (_what, argv, stdin, says) => {
    const { exit, stderr } = await given(stdin).run('request', ...argv, ...as('nhi:prod/ci-deployer'));
    expect(exit).toBe(2);
    expect(stderr).toContain(says);
  });

  it('and a missing option points at the help of its command', async () => {
    const { exit, stderr } = await desk.run('lock', 'set', '--nhi', 'nhi:prod/ci-deployer');
    expect(exit).toBe(2);
    expect(stderr).toContain('(countersign lock set --help says what it takes)');
  });
});

describe('approve and reject', () => {
  it('show the plan and ask, where somebody is there to answer', async () => {
    const { id } = json(await grant());
    const questions: string[] = [];
    const person = (answer: string): Desk => desk.with({
      interactive: true,
      ask: (question) => {
        questions.push(question);
        return Promise.resolve(answer);
      },
    });
    const no = await person('n').run('approve', id, ...as('person:wei'));
    expect(no.exit).toBe(1);
    expect(no.stderr).toMatch(/plan +grant ci_deployer at pg-main \/ app: role:deploy/);
    const yes = await person('y').run('approve', id, ...as('person:wei'));
    expect(yes.exit).toBe(0);
    expect(yes.stdout).toMatch(/^approved sha256:/);
    expect(questions).toEqual(['approve this plan? [y/N] ', 'approve this plan? [y/N] ']);
  });

  it('approve nothing unseen', async () => {
    const { id, planDigest } = json(await grant());
    const { exit, stderr } = await desk.run('approve', id, ...as('person:wei'));
    expect(exit).toBe(2);
    expect(stderr).toContain(`give --plan-digest ${planDigest}`);
  });

  it('approve no other plan than the one that is named', async () => {
    const { id } = json(await grant());
    const { exit, stderr } = await desk.run('approve', id, '--plan-digest', `sha256:${'0'.repeat(64)}`, ...as('person:wei'));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/\(plan-changed\)/);
  });

  it('are for those who are asked', async () => {
    const { id } = json(await grant());
    const { exit, stdout } = await desk.run('approve', id, '--yes', '--json', ...as('person:mallory'));
    expect(exit).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'no-such-change' } });
  });

  it('a rejection says why', async () => {
    const { id } = json(await grant());
    expect((await desk.run('reject', id, '--yes', ...as('person:wei'))).exit).toBe(2);
  });
});

describe('changes', () => {
  it('are listed, shown, and told as a story', async () => {
    const { id, planDigest } = json(await grant('--idempotency-key', 'story'));
    await desk.run('approve', id, '--plan-digest', planDigest, '--comment', 'as agreed', ...as('person:wei'));
    await grant('--idempotency-key', 'story', '--wait');
    const listed = await desk.run('changes', 'list', '--state', 'active', ...as('person:sam'));
    expect(listed.stdout).toMatch(new RegExp(`^${id} {2}active {2}grant {2}nhi:prod/ci-deployer {2}role:deploy$`, 'm'));
    expect((await desk.run('changes', 'show', id, ...as('person:wei'))).stdout).toContain('approved');

    const { exit, stdout } = await desk.run('changes', 'why', id, ...as('person:wei'));
    expect(exit).toBe(0);
    const sentences = stdout.split('\n').slice(1, -1).map((line) => line.replace(/^ *\d+ {2}\S+ {2}/, ''));
    expect(sentences[0]).toBe('nhi:prod/ci-deployer asked to grant role:deploy at pg-main/app to nhi:prod/ci-deployer for PT10M, for deploy-orders: “deploy 42”.');
    expect(sentences.some((one) => /^person:wei approved plan sha256:[0-9a-f]{12}… of revision 1: “as agreed”\.$/.test(one))).toBe(true);
    expect(sentences.at(-1)).toMatch(/^The access is in use, until /);
  });

  it('of a stranger do not exist', async () => {
    const { id } = json(await grant());
    const { exit, stderr } = await desk.run('changes', 'show', id, ...as('person:mallory'));
    expect(exit).toBe(1);
    expect(stderr).toContain('(no-such-change)');
  });

  it('watch follows one to its end, a line a state', async () => {
    const { id } = json(await grant());
    const watching = desk.run('changes', 'watch', id, '--json', ...as('nhi:prod/ci-deployer'));
    expect((await desk.run('withdraw', id, '--comment', 'not needed', ...as('nhi:prod/ci-deployer'))).exit).toBe(0);
    const states = (await watching).stdout.trim().split('\n').map((line) => (JSON.parse(line) as { state: string }).state);
    expect(states.at(-1)).toBe('withdrawn');
  });

  it.each([['--state', 'nonsense'], ['--kind', 'nonsense'], ['--limit', '0']])('list %s %s is 2', async (flag, value) => {
    expect((await desk.run('changes', 'list', flag, value, ...as('person:sam'))).exit).toBe(2);
  });
});

describe('revoke', () => {
  it('takes back what one change gave', async () => {
    const { id, planDigest } = json(await grant('--idempotency-key', 'revoke-1'));
    await desk.run('approve', id, '--plan-digest', planDigest, ...as('person:wei'));
    await grant('--idempotency-key', 'revoke-1', '--wait');
    const { exit, stdout } = await desk.run('revoke', '--change', id, '--comment', 'leaked', ...as('person:sam'));
    expect([exit, stdout]).toEqual([0, `${id} revoking\n`]);
    expect(json(await grant('--idempotency-key', 'revoke-1', '--wait')).state).toBe('revoked');
  });

  it('takes back everything that an identity holds', async () => {
    const { exit, stdout } = await desk.run('revoke', '--nhi', 'nhi:prod/ci-deployer', '--json', ...as('person:olga'));
    expect(exit).toBe(0);
    expect((JSON.parse(stdout) as { revokes: unknown[] }).revokes.length).toBeGreaterThan(0);
  });

  it('is not for everybody', async () => {
    const { id } = json(await grant());
    expect((await desk.run('revoke', '--change', id, ...as('person:mallory'))).exit).toBe(1);
  });

  it.each([[['revoke']], [['revoke', '--change', 'a', '--nhi', 'b']], [['revoke', '--order', 'file']]])('%j is 2', async (argv) => {
    expect((await desk.run(...argv)).exit).toBe(2);
  });
});

describe('what keeps a command from the sidecar', () => {
  it('no token', async () => {
    const { exit, stderr } = await desk.run('changes', 'list');
    expect(exit).toBe(2);
    expect(stderr).toMatch(/\(no-token\)[\s\S]*next: /);
  });

  it('a token file that others can read', async () => {
    writeFileSync(join(desk.directory, 'open.token'), 'cst_x', { mode: 0o644 });
    const { exit, stderr } = await desk.run('changes', 'list', '--token-file', join(desk.directory, 'open.token'));
    expect(exit).toBe(4);
    expect(stderr).toContain('chmod 600');
  });

  it('a token that nobody has', async () => {
    const { exit, stderr } = await desk.with({ env: { COUNTERSIGN_TOKEN: 'cst_wrong' } }).run('changes', 'list');
    expect(exit).toBe(1);
    expect(stderr).toContain('(unauthenticated)');
  });

  it('nobody at the socket', async () => {
    const { exit, stderr } = await desk.with({ env: { COUNTERSIGN_TOKEN: 'cst_x' } }).run('changes', 'list', '--socket', 'nowhere.sock');
    expect(exit).toBe(4);
    expect(stderr).toMatch(/\(unreachable\)[\s\S]*Nothing is known to have been recorded\.[\s\S]*next: .*countersign serve/);
  });

  it('no installation here, and none named', async () => {
    const { exit, stderr } = await desk.with({ cwd: desk.directory, env: { COUNTERSIGN_TOKEN: 'cst_x' } }).run('changes', 'list');
    expect(exit).toBe(2);
    expect(stderr).toContain('countersign dev');
  });

  it('finds the sidecar and the token in the environment', async () => {
    const env = { COUNTERSIGN_SOCKET: layout.socket, COUNTERSIGN_TOKEN: layout.tokens.get('person:sam')! };
    expect((await desk.with({ cwd: desk.directory, env }).run('changes', 'list', '--json')).exit).toBe(0);
  });
});

describe('the ledger that all this left', () => {
  it('verifies, while it is being written', async () => {
    await sidecar.log.sync();
    const { exit, stdout } = await desk.run('verify', layout.ledger, '--trust', 'trust', '--json');
    const { verdicts, workflow } = JSON.parse(stdout) as { verdicts: { status: string }[]; workflow: { violations: unknown[]; counts: { grants: number } } | null };
    expect(verdicts.filter(({ status }) => status === 'fails')).toEqual([]);
    expect(workflow?.violations).toEqual([]);
    expect(workflow?.counts.grants).toBeGreaterThan(0);
    expect(exit).toBe(0);
  });
});

it('the help lists every command, and says nothing on stderr', async () => {
  const { exit, stdout, stderr } = await desk.run('--help');
  expect(exit).toBe(0);
  for (const verb of ['init', 'dev', 'demo', 'serve', 'worker', 'request', 'changes', 'approve', 'reject', 'withdraw', 'revoke', 'verify', 'policy', 'keygen']) expect(stdout).toMatch(new RegExp(`^ {2}${verb}\\b`, 'm'));
  expect(stderr).toBe('');
});
