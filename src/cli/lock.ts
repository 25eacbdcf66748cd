/** `countersign lock set|lift|list`: nothing is gained by an identity, or at a connector, until the lock is lifted. */
import type { Command } from 'commander';
import type { LockView } from '../client/index.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain, table } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface SetFlags extends ConnectFlags {
  readonly nhi?: string;
  readonly connector?: string;
  readonly reason: string;
}

export function addLock(program: Command, run: Runner): void {
  const lock = program.command('lock').description('keep an identity, or a connector, from gaining anything');
  withConnection(lock.command('set'))
    .description('nothing is gained there from now on; what is on its way is ordered back')
    .option('--nhi <id>', 'this identity; with --connector, only there')
    .option('--connector <id>', 'everything at this connector')
    .requiredOption('--reason <text>', 'why, recorded')
    .action(run(set));
  withConnection(lock.command('lift').argument('<id>'))
    .description('what waited for the lock goes on')
    .requiredOption('--reason <text>', 'why, recorded')
    .action(run(lift));
  withConnection(lock.command('list')).description('the locks in force that you may see').action(run(list));
}

async function set(session: Session, flags: SetFlags): Promise<ExitCode> {
  const { nhi, connector } = flags;
  if (nhi === undefined && connector === undefined) throw new CliError(EXIT.usage, 'usage', { cause: 'give --nhi, --connector, or both', effect: 'Nothing was locked.' });
  const lock = await connectTo(flags, session).lock({ ...(nhi === undefined ? {} : { nhi }), ...(connector === undefined ? {} : { connector }) }, flags.reason);
  session.out.document(lock);
  session.out.line(`${lock.lockId} locks ${scopeOf(lock)}`);
  session.out.say(`to lift it:  countersign lock lift ${lock.lockId} --reason …`);
  return EXIT.ok;
}

async function lift(session: Session, id: string, flags: ConnectFlags & { readonly reason: string }): Promise<ExitCode> {
  const lock = await connectTo(flags, session).unlock(id, flags.reason);
  session.out.document(lock);
  session.out.line(`${lock.lockId} is lifted from ${scopeOf(lock)}`);
  return EXIT.ok;
}

async function list(session: Session, flags: ConnectFlags): Promise<ExitCode> {
  const { locks } = await connectTo(flags, session).locks();
  session.out.document({ locks });
  if (locks.length === 0) session.out.say('no locks that you may see');
  for (const line of table(locks.map((lock) => [lock.lockId, lock.at, plain(lock.by), scopeOf(lock), plain(lock.reason)]))) session.out.line(line);
  return EXIT.ok;
}

function scopeOf({ nhi, connector }: LockView): string {
  return nhi === null ? `everybody at ${plain(connector ?? '')}` : `${plain(nhi)}${connector === null ? '' : ` at ${plain(connector)}`}`;
}
