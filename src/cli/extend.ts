/** `countersign extend`: asks for a later end of what a change gave. */
import type { Command } from 'commander';
import { durationSchema, timeSchema } from '../protocol/values.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain } from './output.ts';
import { follow, limitOf, WAIT_DEFAULT } from './request.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface ExtendFlags extends ConnectFlags {
  readonly duration: string;
  readonly endsBy?: string;
  readonly reason: string;
  readonly idempotencyKey?: string;
  readonly wait?: true | string;
}

const HELP = `
The extension is a change of its own, decided and approved like a grant of the same access from now on. Until it is done, the access ends when it
did. What stands, a rotation, and access that is over or being taken back cannot be extended.`;

export function addExtend(program: Command, run: Runner): void {
  withConnection(program.command('extend').argument('<id>'))
    .description('ask for a later end of what a change gave')
    .requiredOption('--duration <duration>', 'how long from then on, such as PT15M')
    .option('--ends-by <time>', 'the access is over by then, such as 2026-12-01T00:00:00.000Z')
    .requiredOption('--reason <text>', 'prose for the approver')
    .option('--idempotency-key <key>', 'the same key and request give the same change')
    .option('--wait [duration]', `until it is done or refused, at most this long (default ${WAIT_DEFAULT}); exits 0 done, 1 refused, 5 still pending`)
    .addHelpText('after', HELP)
    .action(run(extend));
}

async function extend(session: Session, id: string, flags: ExtendFlags): Promise<ExitCode> {
  const asked = checked(flags);
  const limitMs = limitOf(flags);
  const client = connectTo(flags, session);
  const recorded = await client.extend(id, asked, flags.idempotencyKey === undefined ? {} : { idempotencyKey: flags.idempotencyKey });
  return follow(session, client, recorded, { limitMs, as: flags.as });
}

/** @throws CliError `usage`: nothing was sent */
function checked({ duration, endsBy, reason }: ExtendFlags): Pick<ExtendFlags, 'duration' | 'endsBy' | 'reason'> {
  const wrong = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was sent.' });
  if (!durationSchema.safeParse(duration).success) throw wrong(`--duration takes a duration such as PT15M, and ${plain(duration)} is not a duration`);
  if (endsBy !== undefined && !timeSchema.safeParse(endsBy).success) throw wrong(`--ends-by takes a time such as 2026-12-01T00:00:00.000Z, and ${plain(endsBy)} is no such time`);
  return { duration, reason, ...(endsBy === undefined ? {} : { endsBy }) };
}
