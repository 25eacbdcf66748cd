/** `countersign revoke`: take access back, through the sidecar, or, where it does not answer, straight at the executor. */
import type { Command } from 'commander';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { withCredential, type IdentifyFlags } from './identify.ts';
import { revokeCredential } from './revoke-credential.ts';
import { meansSidecarIsGone, revokeDirectly, type DirectFlags } from './revoke-directly.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export interface RevokeFlags extends ConnectFlags, DirectFlags, IdentifyFlags {
  readonly change?: string;
  readonly nhi?: string;
  readonly credential?: boolean;
  readonly comment?: string;
  readonly now?: boolean;
}

/** How long `--now` gives the sidecar before it goes without it. */
const SIDECAR_MS = 3_000;

export function addRevoke(program: Command, run: Runner): void {
  withCredential(withConnection(program.command('revoke')))
    .description('take access back')
    .option('--change <id>', 'what this change gave')
    .option('--nhi <id>', 'everything that this identity holds by this ledger')
    .option('--credential', 'what the credential on standard input opens; past a sidecar that does not answer')
    .option('--comment <text>', 'why, recorded')
    .option('--now', 'if the sidecar does not answer: sign with the revoker key and tell the executor')
    .option('--key <file>', "the revoker's key (default: keys/revoker.key beside the configuration)")
    .option('--executor <door>', "the executor's socket, or https://host:port (default: from the configuration)")
    .option('--ca-file <file>', 'with --executor https://…: PEM to trust there, and nothing else')
    .option('--write <file>', 'sign the order and write it down instead of sending it, for  countersign worker apply')
    .option('--ledger <folder>', 'where the ledger says what is held (default: from the configuration)')
    .option('--order <file>', 'what to take back, instead of a ledger: a revoke order, signed or not')
    .option('--wait <seconds>', 'how long to wait for the executor to report', '30')
    .action(run(revoke));
}

async function revoke(session: Session, flags: RevokeFlags): Promise<ExitCode> {
  if ([flags.order, flags.change, flags.nhi, flags.credential].filter((one) => one !== undefined).length !== 1) {
    throw new CliError(EXIT.usage, 'usage', { cause: 'give one of --change, --nhi, --credential and --order' });
  }
  if (flags.credential === true) return revokeCredential(session, flags);
  if (flags.order !== undefined && flags.now !== true) throw new CliError(EXIT.usage, 'usage', { cause: '--order goes past the sidecar, which takes --now' });
  if (flags.write !== undefined && flags.now !== true) throw new CliError(EXIT.usage, 'usage', { cause: '--write goes past the sidecar, which takes --now' });
  if (flags.order !== undefined || flags.write !== undefined) return revokeDirectly(session, flags);
  try {
    return await revokeBySidecar(session, flags);
  } catch (error) {
    if (flags.now !== true || !meansSidecarIsGone(error)) throw error;
    session.out.say(`the sidecar does not answer (${(error as Error).message}): going to the executor directly`);
    return revokeDirectly(session, flags);
  }
}

async function revokeBySidecar(session: Session, flags: RevokeFlags): Promise<ExitCode> {
  const { out } = session;
  const client = connectTo(flags, session, flags.now === true ? SIDECAR_MS : undefined);
  const unrecorded = 'the ledger cannot be written: the order went out, its record follows from the executor';
  if (flags.nhi !== undefined) {
    const answer = await client.revokeAll(flags.nhi, flags.comment);
    out.document(answer);
    if (answer.revokes.length === 0) out.say(`${flags.nhi} holds nothing by this ledger`);
    for (const one of answer.revokes) out.line(`${one.changeId} revoking${one.recorded ? '' : ` (${unrecorded})`}`);
    return EXIT.ok;
  }
  const answer = await client.revoke(flags.change!, flags.comment);
  out.document(answer);
  out.line(`${answer.change.id} ${answer.change.state}`);
  if (!answer.recorded) out.say(unrecorded);
  return EXIT.ok;
}
