/** `countersign verifier`: hands out the page that verifies a ledger in a browser, for an auditor who is to install nothing. */
import type { Command } from 'commander';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { sha256Hex } from '../../ledger/hash.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { writeNew } from './files.ts';
import { packageRoot } from './package.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export function addVerifierPage(program: Command, run: Runner): void {
  program
    .command('verifier')
    .argument('[file]', 'where to write it', 'verifier.html')
    .description('write the page that verifies a ledger in a browser, in one file, and print its SHA-256')
    .action(run(writePage));
}

async function writePage(session: Session, given: string): Promise<ExitCode> {
  const built = join(packageRoot(), 'dist', 'verifier.html');
  if (!existsSync(built)) throw new CliError(EXIT.io, 'no-such-file', { cause: 'this installation has no verifier page', effect: 'Nothing was written.', next: 'npm run verifier:build' });
  const page = readFileSync(built);
  const file = resolve(session.cwd, given);
  writeNew(file, page);
  const sha256 = sha256Hex(page);
  session.out.document({ file, sha256 });
  session.out.line(`${sha256}  ${given}`);
  session.out.say('Give the number by another way than the page: whoever opens it compares the two.');
  return EXIT.ok;
}
