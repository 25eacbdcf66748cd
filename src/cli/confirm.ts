/** `countersign confirm`: a consumer uses the new credential of a rotation. */
import type { Command } from 'commander';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { plain } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export function addConfirm(program: Command, run: Runner): void {
  withConnection(program.command('confirm').argument('<id>'))
    .description('say that a consumer uses the new credential of a rotation')
    .requiredOption('--consumer <name>', 'as the plan names it')
    .action(run(confirm));
}

async function confirm(session: Session, id: string, flags: ConnectFlags & { readonly consumer: string }): Promise<ExitCode> {
  const { out } = session;
  const change = await connectTo(flags, session).confirm(id, flags.consumer);
  out.document(change);
  const missing = (change.rotation?.consumers ?? []).filter(({ confirmed }) => !confirmed).map(({ consumer }) => plain(consumer));
  out.line(`${id} confirmed by ${plain(flags.consumer)}`);
  out.say(missing.length === 0 ? 'no consumer is waited for any more' : `still waited for: ${missing.join(', ')}`);
  return EXIT.ok;
}
