/** `countersign reduce`: an approver makes the request less than it asks for, instead of turning it down. */
import type { Command } from 'commander';
import type { ChangeView } from '../client/index.ts';
import { durationSchema } from '../protocol/values.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { confirmPlan, planToDecide } from './decide.ts';
import { describeChange } from './describe.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface ReduceFlags extends ConnectFlags {
  readonly without?: string[];
  readonly duration?: string;
  readonly planDigest?: string;
  readonly yes?: boolean;
}

/** How long to wait for what policy says of the new revision. */
const ANSWER_MS = 5_000;

const HELP = `
The change becomes a new revision of the same request: every approval so far is void, policy decides again, and who asked is told. Nothing can be
added by it. Look at the new plan and approve it, as everybody who is asked must.`;

export function addReduce(program: Command, run: Runner): void {
  withConnection(program.command('reduce').argument('<id>'))
    .description('take something off a change that you are asked to approve')
    .option('--duration <duration>', 'shorter than what is asked for, such as PT15M')
    .option('--without <connector/target/privilege>', 'leave that out; may be given several times', (one: string, all: string[] | undefined) => [...(all ?? []), one])
    .option('--plan-digest <digest>', 'reduce only if the plan is this one')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', HELP)
    .action(run(reduce));
}

async function reduce(session: Session, id: string, flags: ReduceFlags): Promise<ExitCode> {
  const { duration } = flags;
  if (duration === undefined && flags.without === undefined) throw wrong('nothing says what to take off', 'give --duration, --without, or both');
  if (duration !== undefined && !durationSchema.safeParse(duration).success) throw wrong(`--duration takes a duration such as PT15M, and ${plain(duration)} is not a duration`);
  const client = connectTo(flags, session);
  const change = await client.get(id);
  const planDigest = planToDecide(id, change, flags.planDigest, 'reduce');
  const without = (flags.without ?? []).map((text) => named(change, text));
  if (flags.yes !== true && flags.planDigest === undefined) await confirmPlan(session, change, 'reduce', wanted(change, without, duration));
  await client.reduce(id, planDigest, { ...(without.length === 0 ? {} : { without }), ...(duration === undefined ? {} : { duration }) });
  const reduced = await client.wait(id, { until: ({ state }) => state !== 'requested', timeoutMs: ANSWER_MS, signal: session.signal });
  session.out.document(reduced);
  for (const line of describeChange(reduced, session.out, { nowMs: session.nowMs() })) session.out.line(line);
  return EXIT.ok;
}

const textOf = ({ connector, target, privilege }: ChangeView['entitlements'][number]): string => `${connector}/${target}/${privilege}`;

/** The entitlement of the change that the text names. @throws CliError where it names none, or several that differ in scope */
function named(change: ChangeView, text: string): ChangeView['entitlements'][number] {
  const [found, another] = change.entitlements.filter((one) => textOf(one) === text);
  if (found !== undefined && another === undefined) return found;
  throw wrong(`${plain(text)} is ${found === undefined ? 'not' : 'more than once'} among what ${change.id} asks for`, `countersign changes show ${change.id}`);
}

function wanted(change: ChangeView, without: ChangeView['entitlements'], duration: string | undefined): string[] {
  return [
    ...without.map((one) => `leave out ${plain(textOf(one))}`),
    ...(duration === undefined ? [] : [`for ${duration} instead of ${change.duration ?? 'as long as it stands'}`]),
  ];
}

function wrong(cause: string, next?: string): CliError {
  return new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was sent.', ...(next === undefined ? {} : { next }) });
}
