/** The scripts are asked by the shells themselves: what somebody who presses the key is offered. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completionScript, outlineOf, SHELLS, type Shell } from '../../src/cli/completion.ts';
import { openDesk, type Desk } from '../support/world.ts';

let desk: Desk;
beforeAll(async () => {
  desk = openDesk();
  for (const shell of SHELLS) {
    const { exit, stdout } = await desk.run('completion', shell);
    expect(exit).toBe(0);
    writeFileSync(join(desk.directory, shell), stdout);
  }
});
afterAll(() => desk.remove());

const has = (shell: Shell): boolean => spawnSync(shell, ['-c', 'true']).error === undefined;
const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** What a shell offers for the last word, with a script that is in a file. */
const OFFERED: Readonly<Record<Shell, (file: string, words: readonly string[]) => string[]>> = {
  bash: (file, words) =>
    lines(execFileSync('bash', ['--norc', '-c', 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _countersign; printf "%s\\n" "${COMPREPLY[@]}"', 'bash', file, ...words], { encoding: 'utf8' })),
  zsh: (file, words) =>
    lines(execFileSync('zsh', ['-f', '-c', 'compdef() { }; _files() { }; compadd() { shift; print -rl -- "$@" }; _describe() { print -rl -- "${(@)${(@P)2}%%:*}" }; source "$1"; shift; words=("$@"); CURRENT=$#; _countersign', 'zsh', file, ...words], { encoding: 'utf8' }))
      .filter((word) => word.startsWith(words.at(-1)!)),
  fish: (file, words) =>
    lines(execFileSync('fish', ['--no-config', '-c', `source ${file}; complete -C '${words.join(' ')}'`], { encoding: 'utf8', env: { ...process.env, HOME: desk.directory } })).map((line) => line.split('\t')[0]!),
};

describe.each(SHELLS)('completion for %s', (shell) => {
  const offered = (...words: string[]): string[] => OFFERED[shell](join(desk.directory, shell), ['countersign', ...words]);

  it.skipIf(!has(shell))('offers every command, and those of a command after it', () => {
    expect(offered('ver').sort()).toEqual(['verifier', 'verify']);
    expect(offered('changes', 'w').sort()).toEqual(['watch', 'why']);
    expect(offered('worker', 'app')).toEqual(['apply']);
  });

  it.skipIf(!has(shell))('offers the options of the command that it is at, wherever others stand on the line', () => {
    expect(offered('changes', 'list', '--waiting')).toEqual(['--waiting-for-me']);
    expect(offered('changes', '--json', 'list', '--waiting')).toEqual(['--waiting-for-me']);
    expect(offered('doctor', '--waiting')).toEqual([]);
  });

  it.skipIf(!has(shell))('offers the values of an argument that has few, and no others', () => {
    // Beside files, which come after it.
    const values = (...words: string[]): string[] => offered(...words).filter((word) => /^[a-z]+$/.test(word));
    expect(values('report', 'po')).toEqual(['population']);
    expect(values('report', '').sort()).toEqual(['controls', 'gaps', 'population', 'privilege', 'sample']);
    expect(values('completion', 'z')).toEqual(['zsh']);
  });

  it.skipIf(!has(shell))('offers the values of an option that has few', () => {
    const program = new Command('countersign').addOption(new Option('--colour <which>', "it's a \\ 'test': $(touch here) `touch here`").choices(['red', 'green']));
    program.command('paint');
    const file = join(desk.directory, `${shell}-chosen`);
    writeFileSync(file, completionScript(shell, outlineOf(program)));
    expect(OFFERED[shell](file, ['countersign', '--colour', 'gr'])).toEqual(['green']);
    expect(OFFERED[shell](file, ['countersign', '--col'])).toEqual(['--colour']);
    expect(execFileSync('ls', [desk.directory], { encoding: 'utf8' })).not.toContain('here');
  });
});

it('a shell that it does not know is a mistake of usage', async () => {
  expect((await desk.run('completion', 'tcsh')).exit).toBe(2);
});
