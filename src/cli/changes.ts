/** `countersign changes list|show|watch|why`. */
import type { Command } from 'commander';
import type { ChangeView } from '../client/index.ts';
import { STATES } from '../change/state.ts';
import { planSchema } from '../protocol/plan.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { describeChange, stateText } from './describe.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { failureOf } from './failure.ts';
import { inertJson, plain, spaced, table } from './output.ts';
import { firstOf, limitOf } from './pages.ts';
import { gaveUp, isOver } from './request.ts';
import type { Runner } from './runner.ts';
import { why } from './why.ts';
import type { Session } from './world.ts';

interface ListFlags extends ConnectFlags {
  readonly state?: string;
  readonly subject?: string;
  readonly kind?: string;
  readonly waitingForMe?: true;
  readonly limit: string;
}

export function addChanges(program: Command, run: Runner): void {
  const changes = program.command('changes').description('look at changes');
  withConnection(changes.command('list'))
    .description('the changes that you may see, newest first')
    .option('--state <state>', 'only those in this state')
    .option('--subject <nhi>', 'only those of this identity')
    .option('--kind <kind>', 'only those of this kind')
    .option('--waiting-for-me', 'only those that wait for your decision')
    .option('--limit <n>', 'at most so many', '50')
    .action(run(list));
  withConnection(changes.command('show').argument('<id>')).description('one change, whole').action(run(show));
  withConnection(changes.command('watch').argument('<id>')).description('one change, until nothing more happens to it').action(run(watch));
  withConnection(changes.command('why').argument('<id>')).description('the story of a change, record by record').action(run(why));
}

async function list(session: Session, flags: ListFlags): Promise<ExitCode> {
  const { out } = session;
  const state = flags.state === undefined ? undefined : STATES.find((one) => one === flags.state);
  if (flags.state !== undefined && state === undefined) throw new CliError(EXIT.usage, 'usage', { cause: `${plain(flags.state)} is not a state`, next: `one of: ${STATES.join(', ')}` });
  const kind = planSchema.shape.kind.options.find((one) => one === flags.kind);
  if (flags.kind !== undefined && kind === undefined) throw new CliError(EXIT.usage, 'usage', { cause: `${plain(flags.kind)} is not a kind of change`, next: `one of: ${planSchema.shape.kind.options.join(', ')}` });
  const limit = limitOf(flags.limit);
  const client = connectTo(flags, session);
  const { all: found, next } = await firstOf<ChangeView>(limit, async (page) => {
    const answered = await client.list({
      ...page, ...(state === undefined ? {} : { state }), ...(kind === undefined ? {} : { kind }),
      ...(flags.subject === undefined ? {} : { subject: flags.subject }), ...(flags.waitingForMe === undefined ? {} : { waitingForMe: flags.waitingForMe }),
    });
    return { all: answered.changes, next: answered.next };
  });
  out.document({ changes: found });
  if (found.length === 0) out.say(flags.waitingForMe === undefined ? 'no changes that you may see' : 'nothing waits for you');
  const rows = found.map((change) => [change.id, change.state, change.kind, spaced(change.subject), spaced(aboutWhat(change))]);
  for (const line of table(rows)) out.line(line);
  if (next !== null) out.say(`there are more than these ${found.length}: --limit`);
  return EXIT.ok;
}

function aboutWhat({ entitlements, system }: ChangeView): string {
  if (entitlements.length > 0) return entitlements.map(({ privilege }) => privilege).join(', ');
  return system === null ? '' : `${system.connector}/${system.target}`;
}

async function show(session: Session, id: string, flags: ConnectFlags): Promise<ExitCode> {
  const client = connectTo(flags, session);
  const change = await client.get(id);
  const failure = change.state === 'failed' ? await failureOf(client, id) : null;
  session.out.document(change);
  for (const line of describeChange(change, session.out, { nowMs: session.nowMs(), failure })) session.out.line(line);
  return EXIT.ok;
}

/** With `--json` a line of JSON for each state: a stream has no single document. */
async function watch(session: Session, id: string, flags: ConnectFlags): Promise<ExitCode> {
  const { out } = session;
  let length = 0;
  const seen = (change: ChangeView): void => {
    if (change.length === length) return;
    length = change.length;
    if (out.json) session.stdout.write(`${inertJson(JSON.stringify(change))}\n`);
    else out.line(`${change.updatedAt}  ${stateText(change, out)}  record ${change.lastRecord}${change.findings.length === 0 ? '' : `  ${change.findings.map(({ code }) => code).join(', ')}`}`);
  };
  // An active lease is watched to its end.
  const until = (change: ChangeView): boolean => isOver(change) && !(change.state === 'active' || (change.state === 'done' && change.delivery?.status === 'sealed'));
  try {
    await connectTo(flags, session).wait(id, { until, seen, signal: session.signal });
    return EXIT.ok;
  } catch (error) {
    // Whoever watches has seen enough. Nothing was asked for, so that there is nothing to be told.
    if (gaveUp(session, error)) return EXIT.pending;
    throw error;
  }
}
