/**
 * `countersign restore`: a lost ledger, made again from its copy on the bus, from a copy of its directory, or from whichever has more.
 *
 * Where no copy reaches what was signed, it says so and changes nothing. With `--new-log` it goes on from there with a new log, which names the
 * old head and takes over what was open.
 */
import type { Command } from 'commander';
import { basename, resolve } from 'node:path';
import { directorySource, formatBase64, LedgerError, logIdOf, parseVerifier, type KnownHead, type LedgerSource, type Verifier } from '../../ledger/index.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { BookError, readHeads } from '../executor/lease-book.ts';
import { loadTrustFolder, TrustError } from '../protocol/trust-folder.ts';
import { openNatsBus } from '../sidecar/reach.ts';
import { restoreLedger } from '../sidecar/restore.ts';
import { systemClock } from '../sidecar/system.ts';
import { seenBy } from '../witnessing/heads.ts';
import { addressFault, reasonOf, witnessHttp } from '../witnessing/http.ts';
import { withArchived } from './archived.ts';
import type { ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { readBytes } from './files.ts';
import { findConfig } from './find-config.ts';
import { untilUp } from './nats.ts';
import { adopt, oldLog } from './new-log.ts';
import { keysOf, notRestored, UNTOUCHED } from './not-restored.ts';
import { QUIET } from './quiet.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface RestoreFlags extends Pick<ConnectFlags, 'config'> {
  readonly from?: readonly string[];
  readonly archive?: readonly string[];
  readonly leaseBook?: readonly string[];
  readonly bus: boolean;
  readonly newLog?: string;
  readonly keyLost?: boolean;
  readonly moved?: boolean;
}

export function addRestore(program: Command, run: Runner): void {
  program
    .command('restore')
    .description('make a lost ledger again from its copies, byte for byte; the sidecar must be stopped')
    .option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml)')
    .option('--from <directory...>', 'a copy of the directory ledger/')
    .option('--archive <directory...>', 'with --from: where bundles and object files of it were moved to (countersign ledger archive)')
    .option('--lease-book <file...>', "an executor's lease book, or a copy of it: what it has seen of the log must be in what is restored")
    .option('--new-log <vkey>', 'go on with the log that is configured now, which adopts what is open in the old one of this verifier key (or of the file that holds it): where no copy reaches what executors have seen')
    .option('--key-lost', 'with --new-log: though the old log is whole, because its key is lost or stolen')
    .option('--moved', 'the data directory was moved here, or is a copy, and no sidecar goes on where it came from: it goes on here, and that is on record')
    .option('--no-bus', 'restore though the copy on the bus cannot be asked: what it has beyond --from is lost, and executors will refuse this log')
    .action(run(restore));
}

async function restore(session: Session, flags: RestoreFlags): Promise<ExitCode> {
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'usage', { cause: 'it is not said which installation', next: 'give --config countersign.yaml' });
  const { config } = await loadConfig({ path, env: session.env });
  const { log: signer, ticket } = await keysOf(config);
  const old = flags.newLog === undefined ? null : oldLog(session, flags.newLog);
  if (old === null && flags.keyLost === true) throw new CliError(EXIT.usage, 'usage', { cause: '--key-lost is for --new-log only', effect: UNTOUCHED });
  if (old !== null && flags.moved === true) throw new CliError(EXIT.usage, 'usage', { cause: '--moved is not for --new-log, which begins in a place of its own', effect: UNTOUCHED });
  const log = logIdOf(old?.name ?? config.origin);
  const directories = await Promise.all((flags.from ?? []).map((directory) => directoryAt(session, resolve(session.cwd, directory), flags.archive)));
  const known = [
    ...(flags.leaseBook ?? []).flatMap((file) => headIn(session, resolve(session.cwd, file), log)),
    ...(await witnessHeads(session, config, old ?? parseVerifier(signer.vkey))),
  ];
  return withBus(session, config, log, flags, async (copy) => {
    const sources = [...(copy === null ? [] : [copy]), ...directories];
    if (old !== null) return adopt(session, config, { old, signer, ticketSigner: ticket, sources, known, keyLost: flags.keyLost === true });
    if (sources.length === 0 && flags.moved !== true) throw new CliError(EXIT.io, 'not-found', { cause: 'neither the bus nor --from has a copy of this ledger', effect: UNTOUCHED, next: 'give --from DIRECTORY, a copy of ledger/' });
    const done = await restoreLedger({ origin: config.origin, data: config.data, signer, sources, known, nowMs: session.nowMs, moved: flags.moved === true }).catch((cause: unknown) => {
      throw notRestored(cause);
    });
    const root = formatBase64(done.root);
    session.out.document({ ...done, root });
    if (!done.restored) session.out.line(`nothing is missing: the ledger has ${done.size} records, and ${done.source} no more`);
    else session.out.line(`restored ${done.size} records from ${done.source}, ${done.had} of which were still there; root ${root}`);
    for (const kept of done.kept) session.out.line(`kept ${kept}`);
    return EXIT.ok;
  });
}

/** What the witnesses of the trust folder have cosigned of the log, those that can be asked. A head that one of them has must be in what is restored. */
async function witnessHeads(session: Session, { trust }: Config, key: Verifier): Promise<KnownHead[]> {
  const policy = await loadTrustFolder(trust).then((folder) => folder.policy, (cause: unknown) => {
    if (!(cause instanceof TrustError)) throw cause;
    session.out.say(`no witness is asked: ${cause.message}`);
    return null;
  });
  const http = witnessHttp(systemClock, session.signal);
  const keys = [key, ...(policy?.logs ?? []).map(({ verifier }) => verifier)];
  const heads = await Promise.all((policy?.witnesses ?? []).filter(({ url }) => url !== null).map(async (witness) => {
    try {
      const fault = addressFault(witness);
      if (fault !== null) throw new Error(fault);
      const head = await seenBy(witness, key.name, keys, http);
      session.out.say(head === null ? `the witness ${witness.name} has seen nothing of this log` : `the witness ${witness.name} has cosigned ${head.size} records`);
      return head === null ? [] : [{ by: `the witness ${head.by}`, size: head.size, root: head.root }];
    } catch (cause) {
      session.out.say(`the witness ${witness.name} cannot be asked, and what it has cosigned may be more than is restored: ${reasonOf(cause)}`);
      return [];
    }
  }));
  return heads.flat();
}

/** What an executor's lease book has seen of the log; nothing where it has never seen it. @throws CliError for what is no lease book */
function headIn(session: Session, file: string, log: string): KnownHead[] {
  try {
    const head = readHeads(readBytes(file, 'the lease book')).get(log);
    if (head !== undefined) return [{ by: file, size: head.size, root: Buffer.from(head.root, 'base64') }];
    session.out.say(`${file} has seen nothing of this log`);
    return [];
  } catch (cause) {
    if (!(cause instanceof BookError)) throw cause;
    throw new CliError(EXIT.usage, 'usage', { cause: `${file}: ${cause.message}`, effect: UNTOUCHED }, { cause });
  }
}

/** @throws CliError where nothing is there: what was named and is missing is no copy to do without */
async function directoryAt(session: Session, directory: string, archives: RestoreFlags['archive']): Promise<LedgerSource> {
  const source = await directorySource(withArchived(session, directory, archives), basename(directory), directory);
  if (source === null) throw new CliError(EXIT.io, 'no-such-file', { cause: `${directory} holds no checkpoint: it is no copy of a ledger`, effect: UNTOUCHED });
  return source;
}

/** With the copy on the bus; null where no bus is configured, or it has none. */
async function withBus(session: Session, { nats }: Config, log: string, flags: RestoreFlags, act: (copy: LedgerSource | null) => Promise<ExitCode>): Promise<ExitCode> {
  if (nats === undefined || !flags.bus) return act(null);
  const { copySource } = await import('../transport/nats/ledger-source.ts');
  const bus = await openNatsBus(nats, { name: 'countersign restore', inboxPrefix: '_INBOX_restore', logger: QUIET });
  try {
    await untilUp(bus, nats.servers);
    const copy = await copySource(bus.up(), log).catch((cause: unknown) => {
      throw cause instanceof LedgerError ? notRestored(cause) : new CliError(EXIT.io, 'unreachable', {
        cause: `the bus does not hand the copy out: ${cause instanceof Error ? cause.message : String(cause)}`, effect: UNTOUCHED, next: 'countersign nats setup --dry-run   says what is missing there',
      }, { cause });
    });
    session.out.say(copy === null ? 'the bus has no copy of this ledger' : `the bus has a copy of ${copy.checkpoint.split('\n')[1]!} records`);
    return await act(copy);
  } finally {
    await bus.close();
  }
}

