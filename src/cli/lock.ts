/** `countersign lock set|lift|list`: nothing is gained by an identity, or at a connector, until the lock is lifted. */
import type { Command } from 'commander';
import type { Client, LockView } from '../client/index.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { lockDirectly, type DirectLockFlags } from './lock-directly.ts';
import { plain, table } from './output.ts';
import { meansSidecarIsGone } from './revoke-directly.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface SetFlags extends ConnectFlags, DirectLockFlags {
  readonly now?: boolean;
  readonly nhi?: string;
  readonly connector?: string;
}

/** How long `--now` gives the sidecar before it goes without it. */
const SIDECAR_MS = 3_000;

function withDoors(command: Command): Command {
  return command
    .option('--key <file>', "the revoker's key (default: keys/revoker.key beside the configuration)")
    .option('--executor <door>', "the executor's socket, or https://host:port (default: all of the configuration)")
    .option('--ca-file <file>', 'with --executor https://…: PEM to trust there, and nothing else')
    .option('--write <file>', 'sign it and write it down instead of sending it, for  countersign worker apply');
}

export function addLock(program: Command, run: Runner): void {
  const lock = program.command('lock').description('keep an identity, or a connector, from gaining anything');
  withDoors(withConnection(lock.command('set')))
    .description('nothing is gained there from now on; what is on its way is ordered back')
    .option('--nhi <id>', 'this identity; with --connector, only there')
    .option('--connector <id>', 'everything at this connector')
    .requiredOption('--reason <text>', 'why, recorded')
    .option('--now', 'if the sidecar does not answer: sign with the revoker key and tell the executors')
    .action(run(set));
  withDoors(withConnection(lock.command('lift').argument('<id>')))
    .description('what waited for the lock goes on')
    .requiredOption('--reason <text>', 'why, recorded')
    .option('--now', 'sign with the revoker key and tell the executors: the only way for a lock that was set so')
    .action(run(lift));
  withConnection(lock.command('list')).description('the locks in force that you may see').action(run(list));
}

async function set(session: Session, flags: SetFlags): Promise<ExitCode> {
  const { nhi, connector } = flags;
  if (nhi === undefined && connector === undefined) throw new CliError(EXIT.usage, 'usage', { cause: 'give --nhi, --connector, or both', effect: 'Nothing was locked.' });
  const direct = (): Promise<ExitCode> => lockDirectly(session, flags, { op: 'set', nhi: nhi ?? null, connector: connector ?? null });
  if (flags.write !== undefined) return mustBeNow(flags, direct);
  try {
    return await setBySidecar(session, flags);
  } catch (error) {
    if (flags.now !== true || !meansSidecarIsGone(error)) throw error;
    session.out.say(`the sidecar does not answer (${(error as Error).message}): going to the executors directly`);
    return direct();
  }
}

function mustBeNow({ now }: { readonly now?: boolean }, direct: () => Promise<ExitCode>): Promise<ExitCode> {
  if (now !== true) throw new CliError(EXIT.usage, 'usage', { cause: '--write goes past the sidecar, which takes --now', effect: 'Nothing was locked or lifted.' });
  return direct();
}

async function setBySidecar(session: Session, { nhi, connector, ...flags }: SetFlags): Promise<ExitCode> {
  const client = connectTo(flags, session, flags.now === true ? SIDECAR_MS : undefined);
  const lock = await client.lock({ ...(nhi === undefined ? {} : { nhi }), ...(connector === undefined ? {} : { connector }) }, flags.reason);
  session.out.document(lock);
  session.out.line(`${lock.lockId} locks ${scopeOf(lock)}`);
  await warnOfStrangers(session, client, lock);
  session.out.say(`to lift it:  countersign lock lift ${lock.lockId} --reason …`);
  return EXIT.ok;
}

/** In an incident no lock is refused; but who mistypes a name is to know that nothing they meant is locked. */
async function warnOfStrangers({ out }: Session, client: Client, { nhi, connector }: LockView): Promise<void> {
  const warn = (what: string): void => out.say(`${out.bad('WARNING')}: ${plain(what)}. The lock is set all the same: if the name is mistyped, what you meant is NOT locked.`);
  try {
    const { nhis } = await client.nhis();
    if (nhi !== null && nhis.every(({ id }) => id !== nhi)) warn(`no identity ${nhi} is known to you`);
    if (connector !== null && !nhis.some(({ accounts }) => Object.hasOwn(accounts, connector))) warn(`no identity that you may see has an account at a connector ${connector}`);
  } catch {
    out.say(`${out.bad('WARNING')}: the lock is set, but whether that name is known could not be asked.`);
  }
}

async function lift(session: Session, id: string, flags: ConnectFlags & DirectLockFlags & { readonly now?: boolean }): Promise<ExitCode> {
  if (flags.now === true || flags.write !== undefined) return mustBeNow(flags, () => lockDirectly(session, flags, { op: 'lift', lockId: id }));
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
