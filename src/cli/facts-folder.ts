/** The facts in a folder: `inventory`, `catalogue` and `directory`, and where they are kept `usage`, `calendar` and `exceptions`, as `.yaml`, `.yml` or `.json`. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FactsError, loadFacts, type Facts } from '../facts/load.ts';
import { CliError, EXIT } from './exit.ts';
import { plain } from './output.ts';
import type { Session } from './world.ts';

const ENDINGS = ['yaml', 'yml', 'json'] as const;

/** @throws CliError `no-facts` where one of the three is not there, or `bad-facts` with file, line and pointer */
export async function factsIn(session: Pick<Session, 'cwd'>, given: string | undefined, nowMs: number): Promise<Facts> {
  const folder = resolve(session.cwd, given ?? 'facts');
  const find = (name: string): string | undefined => ENDINGS.map((ending) => join(folder, `${name}.${ending}`)).find((path) => existsSync(path));
  const demand = (name: string): string => {
    const path = find(name);
    if (path === undefined) throw new CliError(EXIT.io, 'no-facts', { cause: `there is no ${name}.yaml in ${folder}`, effect: 'Nothing was asked.', next: 'name the folder of your facts with --facts' });
    return path;
  };
  try {
    return await loadFacts({ inventory: demand('inventory'), catalogue: demand('catalogue'), directory: demand('directory'), usage: find('usage'), calendar: find('calendar'), exceptions: find('exceptions') }, nowMs);
  } catch (cause) {
    if (!(cause instanceof FactsError)) throw cause;
    throw new CliError(EXIT.io, 'bad-facts', { cause: `the facts cannot be believed: ${plain(cause.message)}`, effect: 'Nothing was asked.' }, { cause });
  }
}
