/** `countersign exceptions sign` with the real `ssh-keygen`: what is shown is signed and written into the entry, and `inventory lint` says what is lacking yet. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { layOutExample } from '../../src/cli/init.ts';
import { systemRandom } from '../../src/sidecar/system.ts';
import { openDesk, type Desk, type Ran } from '../support/world.ts';

const hasSshKeygen = spawnSync('ssh-keygen', ['-?']).error === undefined;

const BLOCK = `# What people let through.
v: 1
exceptions:
  - id: long-leases # FRT-311
    rule: lease-too-long
    subject: nhi:prod/freight-sync
    reason: it asks again every hour by then, which is a matter of weeks and of a release that somebody else is to make first
    owner: person:kim
    from: 2026-11-23
    until: 2027-01-15
  - {id: other, rule: exceeds-purpose, subject: nhi:prod/ci-deployer, reason: until it is cut in two, owner: person:kim, from: 2026-11-23, until: 2026-12-15}
observe:
  - id: trial
    environments: [test]
    reason: the rules are tried out
    owner: person:kim
    from: 2026-11-01
    until: 2026-12-20
`;

describe.skipIf(!hasSshKeygen)('countersign exceptions sign', () => {
  let desk: Desk;
  let path: string;
  let config: string;
  beforeEach(async () => {
    desk = openDesk().with({ nowMs: () => Date.parse('2026-11-29T12:00:00.000Z') });
    const layout = await layOutExample({ directory: join(desk.directory, 'i'), randomBytes: systemRandom });
    desk = desk.with({ cwd: layout.directory });
    config = layout.config;
    path = join(layout.directory, 'exceptions.yaml');
    writeFileSync(path, BLOCK);
    writeFileSync(config, readFileSync(config, 'utf8').replace(/^( *)directory: facts\/directory\.yaml$/m, `$&\n$1exceptions: ${path}`));
    const keyOf = (name: string): string => readFileSync(join(layout.directory, `${name}.pub`), 'utf8');
    for (const name of ['olga', 'sam']) spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(layout.directory, name)]);
    const trust = join(layout.directory, 'trust');
    writeFileSync(join(trust, 'allowed_signers'), `person:olga namespaces="exception@countersign" ${keyOf('olga')}person:sam ${keyOf('sam')}`);
    const requirements = JSON.parse(readFileSync(join(trust, 'requirements.json'), 'utf8')) as object;
    writeFileSync(join(trust, 'requirements.json'), JSON.stringify({ ...requirements, exceptionGrants: { quorum: 2, approvers: ['person:olga', 'person:sam'] } }));
  });
  afterEach(() => desk.remove());

  const sign = (id: string, who: string, ...args: string[]): Promise<Ran> => desk.run('exceptions', 'sign', 'exceptions.yaml', id, '--ssh-key', who, '--approver', `person:${who}`, ...args);
  const observed = async (): Promise<boolean> => (await desk.run('inventory', 'lint', '--config', config, '--json')).stdout.includes('under-observe');
  const lacking = async (): Promise<readonly string[]> => {
    const { findings } = JSON.parse((await desk.run('inventory', 'lint', '--config', config, '--json')).stdout) as { findings: { code: string; about: string; message: string }[] };
    return findings.filter(({ code }) => code === 'not-granted').map(({ about, message }) => `${about}: ${message}`);
  };
  const MUST = 'where 2 of person:olga, person:sam must';

  it('shows the entry, asks, and signs; once all have signed, nothing is lacking', async () => {
    expect(await lacking()).toEqual(['long-leases', 'other', 'trial'].map((id) => `${id}: granted by nobody ${MUST}`));
    expect(await observed()).toBe(false);
    const asked: string[] = [];
    desk = desk.with({ interactive: true, ask: async (question) => (asked.push(question), 'y') });
    const first = await sign('long-leases', 'olga');
    expect([first.exit, first.stdout]).toEqual([0, 'long-leases is signed by person:olga\n']);
    expect(first.stderr).toMatch(/subject +nhi:prod\/freight-sync/);
    expect(asked).toEqual(['grant this exception? [y/N] ']);
    expect(await lacking()).toContain(`long-leases: granted by person:olga ${MUST}`);
    for (const [id, who, ...args] of [['long-leases', 'sam'], ['other', 'olga'], ['other', 'sam'], ['trial', 'olga', '--observe'], ['trial', 'sam', '--observe']] as const) expect((await sign(id, who, '--yes', ...args)).exit).toBe(0);
    expect([await lacking(), await observed()]).toEqual([[], true]);
    // The rest of the file is as it was written.
    const written = readFileSync(path, 'utf8');
    expect(written).toContain('# What people let through.');
    expect(written).toContain('  - id: long-leases # FRT-311\n');
    expect(written.replace(/\n {4}signatures:\n(?: {6}.*\n)+/g, '\n').split('\n').filter((line) => !line.includes('id: other'))).toEqual(BLOCK.split('\n').filter((line) => !line.includes('id: other')));
  });

  it('replaces what the same person had signed, and an entry that was changed is signed again', async () => {
    for (const who of ['olga', 'sam']) await sign('long-leases', who, '--yes');
    writeFileSync(path, readFileSync(path, 'utf8').replace('rule: lease-too-long', 'rule: exceeds-purpose'));
    expect(await lacking()).toContain(`long-leases: granted by nobody ${MUST}`);
    for (const who of ['olga', 'sam']) expect((await sign('long-leases', who, '--yes', '--json')).exit).toBe(0);
    expect((await lacking()).join()).not.toContain('long-leases');
    expect(readFileSync(path, 'utf8').match(/approver:/g)).toHaveLength(2);
  });

  it('writes JSON as JSON', async () => {
    const entry = { id: 'long-leases', rule: 'lease-too-long', subject: 'nhi:prod/freight-sync', reason: 'until then', owner: 'person:kim', from: '2026-11-23', until: '2027-01-15' };
    writeFileSync(path, JSON.stringify({ v: 1, exceptions: [entry] }));
    for (const who of ['olga', 'sam']) expect((await sign('long-leases', who, '--yes')).exit).toBe(0);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ v: 1, exceptions: [{ ...entry, signatures: [{ approver: 'person:olga' }, { approver: 'person:sam' }] }] });
    expect(await lacking()).toEqual([]);
  });

  it.each<[string, number, string, () => Promise<Ran>]>([
    ['nobody is there to look', 2, 'usage', () => sign('long-leases', 'olga')],
    ['she says no', 1, 'not-confirmed', () => {
      desk = desk.with({ interactive: true, ask: async () => 'n' });
      return sign('long-leases', 'olga');
    }],
    ['there is no such entry', 1, 'no-such-entry', () => sign('none', 'olga', '--yes')],
    ['it is in the other list', 1, 'no-such-entry', () => sign('trial', 'olga', '--yes')],
    ['it is her own', 1, 'own-exception', () => desk.run('exceptions', 'sign', 'exceptions.yaml', 'long-leases', '--ssh-key', 'olga', '--approver', 'person:kim', '--yes')],
    ['she is no person', 2, 'usage', () => desk.run('exceptions', 'sign', 'exceptions.yaml', 'long-leases', '--ssh-key', 'olga', '--approver', 'olga', '--yes')],
    ['there is no key', 4, 'ssh-keygen', () => desk.run('exceptions', 'sign', 'exceptions.yaml', 'long-leases', '--ssh-key', 'none', '--approver', 'person:olga', '--yes')],
    ['there is no file', 4, 'no-such-file', () => desk.run('exceptions', 'sign', 'none.yaml', 'long-leases', '--ssh-key', 'olga', '--approver', 'person:olga', '--yes')],
  ])('writes nothing where %s', async (_why, exit, code, run) => {
    const ran = await run();
    expect(ran.exit).toBe(exit);
    expect(`${ran.stdout}${ran.stderr}`).toContain(code);
    expect(readFileSync(path, 'utf8')).toBe(BLOCK);
  });

  it('signs nothing in a file that cannot be believed', async () => {
    writeFileSync(path, BLOCK.replace('rule: lease-too-long', 'rules: lease-too-long'));
    const ran = await sign('long-leases', 'olga', '--yes');
    expect([ran.exit, ran.stderr]).toEqual([4, expect.stringContaining('bad-facts')]);
  });
});
