/** A page of the documentation, done as its reader would: each `sh` block in order, in one shell, and each `text` block after it found in what was printed. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Block {
  readonly script: string;
  /** Lines that what it prints has, in this order; a line has more around it. */
  readonly expected: readonly string[];
}
export interface Done extends Block {
  readonly printed: string;
}

export function blocksOf(page: string): Block[] {
  const fences = [...page.matchAll(/^ *```(sh|text)\n([^]*?)^ *```$/gm)].map(([, language, text]) => ({ language: language!, text: text! }));
  return fences.flatMap(({ language, text }, i) => {
    const after = fences[i + 1];
    return language === 'text' ? [] : [{ script: text, expected: after?.language === 'text' ? after.text.trimEnd().split('\n') : [] }];
  });
}

const MARK = '-- a block is done --';

/**
 * Runs all blocks of a page, or of several one after the other, in a new folder. What a block leaves running in the background is waited for until it says that it listens, and stopped at the end.
 *
 * @param env beside what this process has
 * @throws Error where a command of a block fails, with what was printed until then
 */
export async function runPage(file: string | readonly string[], directory: string, env: Readonly<Record<string, string>> = {}): Promise<Done[]> {
  const bin = join(directory, '.bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'countersign'), `#!/bin/sh\nexec '${process.execPath}' '${join(import.meta.dirname, '../../dist/src/main.js')}' "$@"\n`);
  chmodSync(join(bin, 'countersign'), 0o755);
  const blocks = [file].flat().flatMap((one) => blocksOf(readFileSync(one, 'utf8')).map((block) => ({ ...block, file: one })));
  // Those that this block has started, by logs that are written since: a log of before says that it listened then.
  const functions = `began() { old=" $(jobs -p | tr '\\n' ' ')"; : > '${bin}/began'; }
listening() {
  n=0
  for job in $(jobs -p); do case "$old" in *" $job "*) ;; *) n=$((n + 1)) ;; esac; done
  while test "$(find . -maxdepth 1 -name '*.log' -newer '${bin}/began' -exec grep -l listening {} + | wc -l)" -lt "$n"; do kill -0 $!; sleep 0.1; done
}`;
  const script = ['set -eu', 'trap \'test -z "$(jobs -p)" || kill $(jobs -p); wait\' EXIT', functions, ...blocks.flatMap(({ script: block }) => ['began', block, 'listening', `echo '${MARK}'`])].join('\n');
  const shell = spawn('bash', ['-c', script], { cwd: directory, env: { ...process.env, ...env, PATH: [bin, process.env['PATH']].join(delimiter) }, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (text: Buffer) => (printed += text.toString()));
  const exit = await new Promise((resolve) => shell.once('close', resolve));
  const parts = printed.split(`${MARK}\n`);
  if (exit !== 0) throw new Error(`block ${parts.length} of ${blocks[parts.length - 1]?.file ?? ''} failed (exit ${String(exit)}):\n${blocks[parts.length - 1]?.script ?? ''}\n${parts.at(-1)!}`);
  return blocks.map((block, i) => ({ ...block, printed: parts[i]! }));
}

/** The first expected line of a block that what it printed does not have, after those before it; null where it has all. */
export function missing({ expected, printed }: Done): string | null {
  let from = 0;
  for (const line of expected) {
    const at = printed.indexOf(line, from);
    if (at === -1) return line;
    from = at + line.length;
  }
  return null;
}
