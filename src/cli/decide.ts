/** `countersign approve`, `reject` and `withdraw`. What is approved is a digest: of the plan that was shown, or that the caller names. */
import type { Command } from 'commander';
import type { ChangeView } from '../client/index.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { describeChange } from './describe.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface DecideFlags extends ConnectFlags {
  readonly planDigest?: string;
  readonly comment?: string;
  readonly yes?: boolean;
}

export function addDecisions(program: Command, run: Runner): void {
  withConnection(program.command('approve').argument('<id>'))
    .description('approve exactly the plan that is shown')
    .option('--plan-digest <digest>', 'approve only if the plan is this one')
    .option('--comment <text>', 'recorded with the approval')
    .option('-y, --yes', 'do not ask')
    .action(run((session: Session, id: string, flags: DecideFlags) => decideOn(session, id, flags, 'approve')));
  withConnection(program.command('reject').argument('<id>'))
    .description('reject the plan: says why')
    .option('--plan-digest <digest>', 'reject only if the plan is this one')
    .requiredOption('--comment <text>', 'why, recorded with the rejection')
    .option('-y, --yes', 'do not ask')
    .action(run((session: Session, id: string, flags: DecideFlags) => decideOn(session, id, flags, 'reject')));
  withConnection(program.command('withdraw').argument('<id>'))
    .description('withdraw a change that you asked for')
    .option('--comment <text>', 'why, recorded')
    .action(run(withdraw));
}

async function decideOn(session: Session, id: string, flags: DecideFlags, verdict: 'approve' | 'reject'): Promise<ExitCode> {
  const client = connectTo(flags, session);
  const change = await client.get(id);
  const { planDigest } = change;
  if (planDigest === null) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: `${id} is ${change.state} and has no plan to ${verdict} yet`, effect: 'Nothing was recorded.', next: `countersign changes watch ${id}` });
  }
  if (flags.planDigest !== undefined && flags.planDigest !== planDigest) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: `the plan of ${id} is now ${planDigest}`, effect: 'Nothing was recorded.', next: `countersign changes show ${id}` });
  }
  if (flags.yes !== true && flags.planDigest === undefined) await confirm(session, change, verdict);
  const decided = verdict === 'approve' ? await client.approve(id, planDigest, flags.comment) : await client.reject(id, planDigest, flags.comment!);
  session.out.document(decided);
  session.out.line(`${verdict === 'approve' ? 'approved' : 'rejected'} ${planDigest}`);
  session.out.line(`${id} is ${decided.state}`);
  return EXIT.ok;
}

/** Shows the plan and asks. @throws CliError where nobody can answer, or the answer is no */
async function confirm(session: Session, change: ChangeView, verdict: string): Promise<void> {
  const effect = 'Nothing was recorded.';
  if (!session.interactive) {
    throw new CliError(EXIT.usage, 'usage', { cause: 'nobody is there to look at the plan', effect, next: `give --plan-digest ${change.planDigest ?? ''}, or --yes for whatever the plan is` });
  }
  for (const line of describeChange(change, session.out, { nowMs: session.nowMs() })) session.out.say(line);
  const answer = await session.ask(`${verdict} this plan? [y/N] `);
  if (!/^y(es)?$/i.test(answer)) throw new CliError(EXIT.failed, 'not-confirmed', { cause: 'not confirmed', effect });
}

async function withdraw(session: Session, id: string, flags: DecideFlags): Promise<ExitCode> {
  const change = await connectTo(flags, session).withdraw(id, flags.comment);
  session.out.document(change);
  session.out.line(`${id} is ${change.state}`);
  return EXIT.ok;
}
