/** `countersign policy init`: a policy repository to begin with. The baseline is copied, so that what is in force is what is reviewed. */
import { cpSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { VERSION } from '../version.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { isEmptyOrAbsent, writeNew } from './files.ts';
import { OPA_VERSION } from './opa.ts';
import { packageRoot } from './package.ts';
import { STARTER } from './policy-starter.ts';
import type { Session } from './world.ts';

const BASELINE = ['access', 'capabilities.json', 'checks', 'controls', 'data', 'lib', 'schemas', 'testcases', 'workflow'] as const;
/** A name that Rego takes for a package as it is, and a file system for a folder. */
const TEAM = /^[a-z][a-z0-9_]{0,31}$/;
/** They mean something to Rego, or to the compiler of tests. */
const TAKEN: ReadonlySet<string> = new Set(['as', 'contains', 'data', 'default', 'else', 'every', 'false', 'if', 'import', 'in', 'input', 'not', 'null', 'package', 'set', 'some', 'true', 'with', 'access', 'lib', 'fixture', 'question']);

export async function initPolicy(session: Session, given: string, { team }: { readonly team: string }): Promise<ExitCode> {
  const { out } = session;
  const folder = resolve(session.cwd, given);
  if (!TEAM.test(team) || TAKEN.has(team) || team.endsWith('_test')) throw new CliError(EXIT.usage, 'usage', { cause: '--team takes a name of lower case, digits and _ that is no word of Rego’s', effect: 'Nothing was written.' });
  if (!isEmptyOrAbsent(folder)) throw new CliError(EXIT.usage, 'not-empty', { cause: `${folder} is not empty`, effect: 'Nothing was written.', next: 'name a new folder' });
  for (const name of BASELINE) cpSync(join(packageRoot(), 'policy', name), join(folder, 'policy', name), { recursive: true });
  const fill = (text: string): string => text.replaceAll('OPA_VERSION', OPA_VERSION).replaceAll('VERSION', VERSION).replaceAll('TEAM', team);
  const files = Object.entries(STARTER).map(([name, text]) => {
    writeNew(join(folder, fill(name)), fill(text));
    return fill(name);
  });
  out.document({ folder, team, files, baseline: BASELINE.map((name) => `policy/${name}`) });
  out.line(folder);
  for (const file of files) out.line(`  ${file}`);
  out.line('  policy/ with the baseline');
  out.say(`next: cd ${given} && countersign policy test && countersign policy build`);
  return Promise.resolve(EXIT.ok);
}
