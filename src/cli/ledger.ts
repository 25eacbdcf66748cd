/** `countersign ledger compact`: the writer's second copy of what `ledger/` has for good is given up. The ledger itself is as it was. */
import type { Command } from 'commander';
import { compactJournal, LedgerError, nodeDisk } from '../../ledger/index.ts';
import { loadConfig } from '../config/load.ts';
import { holdData } from '../sidecar/data-lock.ts';
import { findConfig, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { keysOf, UNTOUCHED } from './not-restored.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export function addLedger(program: Command, run: Runner): void {
  program
    .command('ledger')
    .description("looks after a ledger's files")
    .command('compact')
    .description('remove the oldest of the journal, whose records are in ledger/ for good; every byte is read first, and the sidecar must be stopped')
    .option('--config <file>', 'countersign.yaml of the installation (default: ./countersign.yaml)')
    .action(run(compact));
}

async function compact(session: Session, flags: Pick<ConnectFlags, 'config'>): Promise<ExitCode> {
  const path = findConfig(flags, session);
  if (path === null) throw new CliError(EXIT.usage, 'usage', { cause: 'it is not said which installation', next: 'give --config countersign.yaml' });
  const { config } = await loadConfig({ path, env: session.env });
  const disk = nodeDisk(config.data);
  const signer = (await keysOf(config)).log;
  let release: (() => Promise<void>) | null = null;
  try {
    release = await holdData(disk);
    const done = await compactJournal({ origin: config.origin, disk, directory: 'ledger', journal: 'journal', signer, now: session.nowMs });
    session.out.document({ ...done });
    if (done.files === 0) session.out.line(`nothing to remove: the journal begins with record ${done.from}, and what it holds is not in full files of ledger/ yet`);
    else session.out.line(`removed ${done.files} files, ${done.bytes} bytes; the journal of ${done.size} records begins with record ${done.from}`);
    return EXIT.ok;
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    const next = cause.code === 'locked' ? 'stop the sidecar first' : 'countersign verify PATH --trust FOLDER   says what is wrong with it';
    throw new CliError(EXIT.io, cause.code, { cause: cause.message, effect: UNTOUCHED, next }, { cause });
  } finally {
    await release?.();
  }
}
