/** `countersign reconcile`, and `inventory discover`: what is at targets, and where it is not as it is recorded. */
import type { Command } from 'commander';
import type { Discovery, FindingView, ReconciliationList, ReconciliationView } from '../client/index.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { plain, table } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

export interface ReconcileFlags extends ConnectFlags {
  readonly connector?: string;
}

export function addReconcile(program: Command, run: Runner): void {
  withConnection(program.command('reconcile'))
    .description('look at the targets, compare them with what is recorded, and say what differs')
    .option('--connector <id>', 'this one; otherwise all')
    .addHelpText('after', '\nExits 0 where all is as it is recorded, 1 where findings are open, 3 where a connector could not be looked at, 5 where one still is being.')
    .action(run(reconcile));
}

async function reconcile(session: Session, flags: ReconcileFlags): Promise<ExitCode> {
  const { out } = session;
  const answer = await connectTo(flags, session).reconcile(flags.connector === undefined ? {} : { connector: flags.connector });
  out.document(answer);
  for (const one of answer.reconciliations) out.line(summaryOf(one));
  if (answer.findings.length > 0) out.line();
  for (const finding of answer.findings) out.line(lineOf(finding));
  return exitOf(answer);
}

function exitOf({ reconciliations, findings }: ReconciliationList): ExitCode {
  if (reconciliations.some(({ state }) => state === 'failed')) return EXIT.notEstablished;
  if (reconciliations.some(({ state }) => state === 'running')) return EXIT.pending;
  return findings.length > 0 ? EXIT.failed : EXIT.ok;
}

/** `pg-main/app: 12 accounts, 3 of no identity; 31 privileges held: 24 explained, …`. */
function summaryOf({ connector, target, state, counts, complete, found, cleared, reason }: ReconciliationView): string {
  if (state === 'failed') return `${plain(connector)}: could not be looked at: ${plain(reason ?? '')}`;
  if (state === 'running') return `${plain(connector)}: still being looked at`;
  if (counts === null) return `${plain(connector)}: nobody has looked yet`;
  const { accounts, unknownAccounts, held, explained, unexplained, pastEnd, undecided, standing, recorded, missing } = counts;
  return [
    `${plain(connector)}/${plain(target ?? '')}: ${accounts} accounts that can log in, ${unknownAccounts} of no identity`,
    `${held} privileges held, ${standing} of them standing: ${explained} explained, ${unexplained} unexplained, ${pastEnd} past their end${undecided === 0 ? '' : `, ${undecided} on their way`}`,
    `${recorded} grants on record, ${missing} of them gone`, `findings: ${found} new, ${cleared} cleared${complete === false ? '; NOT LOOKED AT TO ITS END' : ''}`,
  ].join('; ');
}

function lineOf({ code, connector, message, owner, orderedAt, proposed }: FindingView): string {
  const done = orderedAt !== null ? `; ordered back ${orderedAt}` : proposed !== null ? `; ${proposed} would end it` : '';
  return `${code}  ${plain(connector)}  ${plain(message)}  (${owner === null ? 'nobody' : plain(owner)} owns this${done})`;
}

export async function discover(session: Session, flags: ReconcileFlags): Promise<ExitCode> {
  const { out } = session;
  const client = connectTo(flags, session);
  const connectors = flags.connector === undefined
    ? (await client.reconciliations()).reconciliations.filter(({ state }) => state === 'done').map(({ connector }) => connector) : [flags.connector];
  const discoveries: Discovery[] = [];
  for (const connector of connectors) discoveries.push(await client.discovery(connector));
  out.document({ discoveries });
  if (discoveries.length === 0) out.say('no connector has been looked at yet: countersign reconcile');
  for (const { connector, target, at, complete, entries } of discoveries) {
    out.line(out.bold(`${plain(connector)}/${plain(target)} as of ${at}${complete ? '' : ', not to its end'}`));
    for (const line of table(entries.map(rowOf))) out.line(line);
  }
  return EXIT.ok;
}

function rowOf(entry: Discovery['entries'][number]): string[] {
  const held = [...entry.held.map(plain), ...(entry.heldLeftOut === 0 ? [] : [`(${entry.heldLeftOut} more)`])].join(', ');
  if (entry.kind === 'grant') return ['grant', entry.clientToken, `to ${entry.accounts.map(plain).join(', ') || 'nobody'}`, '', held];
  const used = entry.lastUsedAt ?? (entry.sessions === null ? 'use not known' : entry.sessions > 0 ? `${entry.sessions} open` : 'last use not known');
  return ['account', plain(entry.account), entry.isOwn ? 'the connector’s own' : entry.canLogin ? `can log in${entry.endsAt === null ? '' : ` until ${entry.endsAt}`}` : 'cannot log in', used, held];
}
