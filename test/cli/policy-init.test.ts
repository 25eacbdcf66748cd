import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findOpa, runOpa } from '../../src/cli/opa.ts';
import { readCases } from '../../src/cli/policy-cases.ts';
import { openDesk, type Desk } from '../support/world.ts';
import { WITHOUT_OPA } from '../support/opa.ts';

const CASES = join(import.meta.dirname, '../../policy/testcases/decide.json');

let desk: Desk;
beforeEach(() => (desk = openDesk()));
afterEach(() => desk.remove());

describe('policy init', () => {
  it('writes the baseline, an overlay with its test, CI, and what is not to be committed', async () => {
    const { exit, stdout } = await desk.run('policy', 'init', 'rules', '--team', 'payments', '--json');
    expect(exit).toBe(0);
    const { files } = JSON.parse(stdout) as { files: string[] };
    expect(files).toEqual(['policy/overlays/payments/payments.rego', 'policy/overlays/payments/payments_test.rego', '.github/workflows/policy.yml', '.gitignore', 'README.md']);
    for (const file of files) expect(readFileSync(join(desk.directory, 'rules', file), 'utf8')).not.toMatch(/TEAM|VERSION/);
    expect(existsSync(join(desk.directory, 'rules/policy/access/access.rego'))).toBe(true);
    expect(existsSync(join(desk.directory, 'rules/policy/bundle'))).toBe(false);
    expect((await desk.run('policy', 'lint', 'rules', '--no-types')).exit).toBe(0);
  });

  it('overwrites nothing, and takes no name that Rego has a meaning for', async () => {
    mkdirSync(join(desk.directory, 'full'));
    writeFileSync(join(desk.directory, 'full/mine'), '');
    expect((await desk.run('policy', 'init', 'full')).stderr).toMatch(/\(not-empty\)/);
    for (const team of ['Payments', 'a-b', '', 'import', '../up']) expect((await desk.run('policy', 'init', 'new', '--team', team)).exit, team).toBe(2);
    expect(existsSync(join(desk.directory, 'new'))).toBe(false);
  });

  it.skipIf(WITHOUT_OPA)('says what has no types in a line, and runs nothing of it', { timeout: 180_000 }, async () => {
    await desk.run('policy', 'init', 'rules');
    const test = join(desk.directory, 'rules/policy/overlays/team/team_test.rego');
    writeFileSync(test, `${readFileSync(test, 'utf8')}\ntest_typo if fixture.nothing_such(1)\n`);
    const { exit, stdout, stderr } = await desk.with({ cwd: join(desk.directory, 'rules') }).run('policy', 'test', '--json');
    expect([exit, stderr]).toEqual([1, '']);
    const { checks } = JSON.parse(stdout) as { checks: { name: string; ok: boolean; detail: string }[] };
    expect(checks.map(({ name }) => name)).toEqual(['format', 'types']);
    expect(checks[1]!.detail).toContain('undefined function data.checks.fixture.nothing_such');
  });

  it.skipIf(WITHOUT_OPA)('makes a repository whose own CI passes, and whose policy denies what its overlay objects to', { timeout: 180_000 }, async () => {
    await desk.run('policy', 'init', 'rules');
    const rules = desk.with({ cwd: join(desk.directory, 'rules') });
    const { jobs } = parse(readFileSync(join(desk.directory, 'rules/.github/workflows/policy.yml'), 'utf8')) as { jobs: { policy: { steps: { run?: string }[] } } };
    const commands = jobs.policy.steps.flatMap(({ run }) => (run === undefined ? [] : [run.replace(/^npx --yes countersign@\S+ /, '').split(' ')]));
    expect(commands).toEqual([['policy', 'lint'], ['policy', 'test'], ['policy', 'build']]);
    for (const command of commands) {
      const { exit, stdout, stderr } = await rules.run(...command);
      expect(exit, `${command.join(' ')}\n${stdout}${stderr}`).toBe(0);
    }
    const question = readCases(readFileSync(CASES, 'utf8')).cases.find(({ effect }) => effect === 'needsApproval')!.input as { facts: { nhi: object } };
    const asked = { ...question, facts: { ...question.facts, nhi: { ...question.facts.nhi, custody: 'thirdParty', backupOwner: undefined } } };
    writeFileSync(join(desk.directory, 'rules/question.json'), JSON.stringify(asked));
    const { exit, stdout } = await rules.run('policy', 'eval', '-i', 'question.json', '--explain', '--json');
    expect([exit, JSON.parse(stdout)]).toMatchObject([1, {
      answer: { effect: 'deny', reasons: [{ code: 'third-party-needs-backup-owner', rule: 'overlays.team.deny' }] },
      explanation: { sources: 'current', reasons: [{ metadata: { file: 'overlays/team/team.rego', solution: 'Name a backup owner in the inventory.' } }] },
    }]);
  });
});

it.each([
  ['a rule in another package', 'team/more.rego', 'package workflow\n\npermit contains "x" if true\n', 'overlay-loosens', /its package is workflow/],
  ['data', 'team/limits.yaml', 'limits: {standingTiers: [critical]}\n', 'overlay-loosens', /holds Rego and nothing else/],
  ['a rule of no team', 'more.rego', 'package overlays\n', 'overlay-loosens', /holds Rego and nothing else/],
  ['a denial that nobody would hear', 'team/pci.rego', 'package overlays.team.pci\n\ndeny contains "x" if true\n', 'overlay-not-heard', /team\/pci\.rego:3: overlays\.team\.pci\.deny: .*not heard/],
])('an overlay with %s is not compiled', async (_what, file, text, code, words) => {
  await desk.run('policy', 'init', 'rules');
  writeFileSync(join(desk.directory, 'rules/policy/overlays', file), text);
  const { exit, stderr } = await desk.run('policy', 'build', '--root', 'rules', '--opa', '/nonexistent/opa');
  expect(exit).toBe(1);
  expect(stderr).toContain(`(${code})`);
  expect(stderr).toMatch(words);
  expect(existsSync(join(desk.directory, 'rules/policy/bundle'))).toBe(false);
});

describe('opa', () => {
  const place = (name: string, script: string): string => {
    const folder = join(desk.directory, 'bin');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
    return folder;
  };
  const PINNED = 'echo "Version: 1.22.2"';

  it('is the one on the PATH, where that is the pinned version', async () => {
    expect(await findOpa(desk.directory, place('opa', PINNED))).toBe('opa');
  });

  it('is else its module by go, where the PATH has none or another', async () => {
    place('opa', 'echo "Version: 0.1.0"');
    const command = await findOpa(desk.directory, place('go', PINNED));
    expect(command).toEqual(['go', 'run', 'github.com/open-policy-agent/opa@v1.22.2']);
  });

  it('is else its image by docker, which sees the folder and the place of temporary files and nothing else', async () => {
    place('go', 'echo "go: no network" >&2; exit 1');
    const bin = place('docker', 'echo "$@" >&2; case "$*" in *version) echo "Version: 1.22.2";; esac');
    const command = await findOpa(desk.directory, bin);
    const { stderr } = await runOpa(command, ['check'], desk.directory, bin);
    expect(stderr).toMatch(new RegExp(`^run --rm --network none --user \\d+:\\d+ -v ${desk.directory}:${desk.directory} -v (\\S+):\\1 -w ${desk.directory} openpolicyagent/opa:1\\.22\\.2 check\\n$`));
  });

  it('is nowhere: why not is told of each, and how to get it', async () => {
    const bin = place('go', 'echo "go: no network" >&2; exit 1');
    await expect(findOpa(desk.directory, bin)).rejects.toMatchObject({ code: 'opa-not-found', message: expect.stringMatching(/`opa` on the PATH: not there; `go run` of its module: go: no network; `docker`: not there\): go install/) as string });
    place('opa', 'echo "Version: 0.1.0"');
    await expect(findOpa(desk.directory, bin)).rejects.toMatchObject({ code: 'opa-version', message: expect.stringMatching(/`opa` on the PATH: is 0\.1\.0/) as string });
  });
});
