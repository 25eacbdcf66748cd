/** `countersign policy lint`: what is wrong with the Rego, from its text; and its types, where there is an opa to say so. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { lintPolicy, type LintFinding, type PolicyTexts } from '../workbench/lint.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { OPA_VERSION, PolicyToolError, runOpa } from './opa.ts';
import { plain, table } from './output.ts';
import { packageRoot } from './package.ts';
import { filesBelow, policyRoots, schemaCheck } from './policy-build.ts';
import type { Session } from './world.ts';

export interface LintFlags {
  readonly opa?: string;
  readonly types: boolean;
}

/** `held`, `failed` with what opa says, or `notChecked` since there is no opa. */
type Types = { readonly is: 'held' | 'notChecked' } | { readonly is: 'failed'; readonly said: string };

export async function lint(session: Session, given: string | undefined, flags: LintFlags): Promise<ExitCode> {
  const { out } = session;
  const policy = sourcesIn(session, given);
  const findings = lintPolicy(await textsIn(policy));
  const types: Types = flags.types ? await typesOf(policy, flags.opa) : { is: 'notChecked' };
  const exit = findings.length > 0 || types.is === 'failed' ? EXIT.failed : EXIT.ok;
  out.document({ policy, findings, types, ok: exit === EXIT.ok });
  for (const line of table(findings.map(({ code, file, line: at, message }: LintFinding) => [`policy/${file}:${at}`, out.bad(code), plain(message)]))) out.line(line);
  if (types.is === 'failed') out.line(`${out.bad('types')}\n${types.said}`);
  if (types.is === 'notChecked' && flags.types) out.say(`Syntax and types were not checked: there is no opa ${OPA_VERSION}. All else needs none.`);
  out.line(exit === EXIT.ok ? out.good(`nothing is wrong with the rules in ${policy}`) : `${findings.length} findings${types.is === 'failed' ? ', and what opa says' : ''}`);
  return exit;
}

/** The `policy` folder with Rego that is meant. @throws CliError `no-policy` */
function sourcesIn({ cwd }: Session, given: string | undefined): string {
  if (given === undefined) return [join(cwd, 'policy'), join(packageRoot(), 'policy')].find((one) => existsSync(join(one, 'access')))!;
  const path = resolve(cwd, given);
  const found = [join(path, 'policy'), path].find((one) => basename(one) === 'policy' && existsSync(join(one, 'access')));
  if (found === undefined) throw new CliError(EXIT.io, 'no-policy', { cause: `there is no Rego in ${path}`, effect: 'Nothing was looked at.', next: `name the folder that holds policy/access${existsSync(join(path, 'access')) ? `: ${dirname(path)} must call it policy` : ''}` });
  return found;
}

async function textsIn(policy: string): Promise<PolicyTexts> {
  const read = async (file: string): Promise<{ file: string; text: string }> => ({ file, text: await readFile(join(policy, file), 'utf8') });
  const optional = (file: string): Promise<string | null> => (existsSync(join(policy, file)) ? readFile(join(policy, file), 'utf8') : Promise.resolve(null));
  const rego = (await Promise.all(policyRoots(policy).map((root) => filesBelow(policy, root)))).flat().filter((file) => file.endsWith('.rego'));
  const cases = existsSync(join(policy, 'testcases')) ? (await readdir(join(policy, 'testcases'))).filter((name) => name.endsWith('.json')) : [];
  return {
    rego: await Promise.all(rego.map(read)), cases: await Promise.all(cases.map((name) => read(`testcases/${name}`))),
    frameworks: await optional('controls/frameworks.yaml'), capabilities: await optional('capabilities.json'),
  };
}

/** Compiling would take the pinned opa; to say what types a rule has, any is good, and none is waited for. */
async function typesOf(policy: string, opa: string | undefined): Promise<Types> {
  if (!existsSync(join(policy, 'capabilities.json'))) return { is: 'notChecked' };
  const roots = [...policyRoots(policy), ...(existsSync(join(policy, 'checks')) ? ['checks'] : [])];
  try {
    const checks = [['check', '--strict', '--capabilities', 'capabilities.json', ...roots], schemaCheck(policy)];
    for (const args of checks) {
      if (args === null) continue;
      const ran = await runOpa(opa ?? 'opa', args, policy);
      if (ran.status !== 0) return { is: 'failed', said: (ran.stderr + ran.stdout).trim().slice(0, 4_000) };
    }
    return { is: 'held' };
  } catch (cause) {
    if (!(cause instanceof PolicyToolError)) throw cause;
    if (opa !== undefined) throw new CliError(EXIT.io, cause.code, { cause: cause.message }, { cause });
    return { is: 'notChecked' };
  }
}
