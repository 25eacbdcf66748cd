/** `countersign inventory lint`: what is amiss with the facts, counted first, each with why it matters and what to do. Reads files alone. */
import { basename, resolve } from 'node:path';
import { exceptionAsking } from '../config/exception-asking.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { FACT_KINDS, FactsError, loadFacts, type FactFiles, type FactKind, type Facts } from '../facts/load.ts';
import { countsOf, LINT_KINDS, LINT_LEVELS, lintInventory, type LintCode, type LintFinding, type LintLevel } from '../facts/lint-inventory.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { findConfig } from './find-config.ts';
import { plain, table, type Output } from './output.ts';
import type { Session } from './world.ts';

export interface LintFlags {
  readonly config?: string;
  readonly failOn: string;
  readonly all?: true;
}

const SHOWN = 10;

export async function lint(session: Session, files: readonly string[], flags: LintFlags): Promise<ExitCode> {
  const { out } = session;
  const failOn = LINT_LEVELS.find((level) => level === flags.failOn);
  if (failOn === undefined) throw new CliError(EXIT.usage, 'usage', { cause: `--fail-on takes one of ${LINT_LEVELS.join(', ')}` });
  const nowMs = session.nowMs();
  const config = files.length > 0 ? null : await configured(session, flags);
  const facts = await load(config?.facts ?? named(files, session.cwd), nowMs);
  const asking = config === null ? null : await exceptionAsking(config, nowMs);
  const findings = lintInventory(facts.value, nowMs, asking);
  if (config !== null && asking === null && facts.exceptions !== null) out.say('the trust folder cannot be read: who has granted the exceptions is not known');
  const counts = countsOf(findings);
  out.document({ identities: facts.inventory.size, counts: Object.fromEntries(counts), findings });
  tell(out, findings, counts, flags.all === true ? Infinity : SHOWN);
  if (findings.length === 0) out.line(`${facts.inventory.size} identities, and nothing amiss`);
  if (facts.usage === null) out.say('no usage is kept: whether an account is used at all is not known');
  return findings.some(({ level }) => isAtLeast(level, failOn)) ? EXIT.failed : EXIT.ok;
}

const isAtLeast = (level: LintLevel, least: LintLevel): boolean => LINT_LEVELS.indexOf(level) >= LINT_LEVELS.indexOf(least);

function tell(out: Output, findings: readonly LintFinding[], counts: ReadonlyMap<LintCode, number>, shown: number): void {
  for (const line of table([...counts].map(([code, count]) => [String(count).padStart(6), code, LINT_KINDS[code].level, `OWASP ${LINT_KINDS[code].risk}`]))) out.line(line);
  for (const [code, count] of counts) {
    const { why, solution } = LINT_KINDS[code];
    out.line();
    out.line(`${out.bold(code)}: ${why} ${out.dim(solution)}`);
    for (const { about, message } of findings.filter((one) => one.code === code).slice(0, shown)) out.line(`  ${plain(about)}: ${plain(message)}`);
    if (count > shown) out.line(out.dim(`  … and ${count - shown} more (--all)`));
  }
}

async function load(files: FactFiles, nowMs: number): Promise<Facts> {
  try {
    return await loadFacts(files, nowMs);
  } catch (cause) {
    if (!(cause instanceof FactsError)) throw cause;
    throw new CliError(EXIT.io, 'bad-facts', { cause: cause.message, effect: 'Nothing was looked at.', next: 'correct the file' }, { cause });
  }
}

async function configured(session: Session, flags: LintFlags): Promise<Config> {
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'usage', { cause: 'it is not said which facts', next: 'give --config countersign.yaml, or the files' });
  return (await loadConfig({ path, env: session.env })).config;
}

/** What each is goes by its name, such as inventory.yaml. */
function named(files: readonly string[], cwd: string): FactFiles {
  const found = new Map<FactKind, string>();
  for (const file of files) {
    const stem = basename(file).replace(/\.[a-z]+$/, '');
    const kind = FACT_KINDS.find((one) => one === stem);
    if (kind === undefined || found.has(kind)) throw new CliError(EXIT.usage, 'usage', { cause: `${file} is not the one file named ${FACT_KINDS.join(', ')}` });
    found.set(kind, resolve(cwd, file));
  }
  const [inventory, catalogue, directory] = (['inventory', 'catalogue', 'directory'] as const).map((kind) => found.get(kind));
  if (inventory === undefined || catalogue === undefined || directory === undefined) throw new CliError(EXIT.usage, 'usage', { cause: 'inventory, catalogue and directory are needed, usage, calendar and exceptions are not' });
  return { inventory, catalogue, directory, usage: found.get('usage'), calendar: found.get('calendar'), exceptions: found.get('exceptions') };
}
