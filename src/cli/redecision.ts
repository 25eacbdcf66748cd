/** `countersign redecision list|confirm`: what policy would take back of the leases that run, so much at once that a person confirms it. */
import type { Command } from 'commander';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { plain, table } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface ConfirmFlags extends ConnectFlags {
  readonly comment?: string;
}

export function addRedecision(program: Command, run: Runner): void {
  const redecision = program.command('redecision').description('what policy would take back of the leases that run, so much at once that a person confirms it');
  withConnection(redecision.command('list'))
    .description('which leases, why, and the digest that confirms just these')
    .addHelpText('after', '\nExits 0 where nothing waits and policy has answered, 3 where it gave no answer, 5 where something waits.')
    .action(run(list));
  withConnection(redecision.command('confirm').argument('<digest>', 'as list shows it'))
    .description('take all of these back now')
    .option('--comment <text>', 'why, recorded')
    .action(run(confirm));
}

async function list(session: Session, flags: ConnectFlags): Promise<ExitCode> {
  const { out } = session;
  const answer = await connectTo(flags, session).heldRevokes();
  out.document(answer);
  const { digest, failed, held, leases } = answer;
  if (failed !== null) out.line(`policy gave no answer about ${failed.unanswered} of ${failed.leases} leases (${failed.code}): nothing is taken back for it, and it is asked again`);
  for (const line of table(held.map(({ changeId, codes, owner, subject }) => [changeId, plain(subject), codes.join(', '), `(${owner === null ? 'nobody' : plain(owner)} owns this)`]))) out.line(line);
  out.line(digest === null ? 'nothing waits for a person' : `${held.length} of ${leases} leases would be taken back:  countersign redecision confirm ${digest}`);
  if (failed !== null) return EXIT.notEstablished;
  return digest === null ? EXIT.ok : EXIT.pending;
}

async function confirm(session: Session, digest: string, flags: ConfirmFlags): Promise<ExitCode> {
  const { out } = session;
  const answer = await connectTo(flags, session).confirmHeldRevokes(digest, flags.comment);
  out.document(answer);
  for (const { changeId, recorded } of answer.revokes) out.line(`${changeId}  ${recorded ? 'is being taken back' : 'is being taken back; the ledger could not be written'}`);
  return EXIT.ok;
}
