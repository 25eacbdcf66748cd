/** `countersign approve`, `reject` and `withdraw`. What is approved is a digest: of the plan that was shown, or that the caller names. */
import type { Command } from 'commander';
import { canonicalBytes } from '../../ledger/index.ts';
import type { ChangeView, Client } from '../client/index.ts';
import { APPROVAL_NAMESPACE } from '../protocol/approval-proof.ts';
import type { ApprovalStatement } from '../protocol/signed.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { describeChange } from './describe.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import { differingField } from './shown-plan.ts';
import { statementFault } from './shown-statement.ts';
import { signWithSsh } from './ssh-sign.ts';
import type { Session } from './world.ts';

interface DecideFlags extends ConnectFlags {
  readonly planDigest?: string;
  readonly comment?: string;
  readonly yes?: boolean;
  readonly sshKey?: string;
}

export function addDecisions(program: Command, run: Runner): void {
  withConnection(program.command('approve').argument('<id>'))
    .description('approve exactly the plan that is shown')
    .option('--plan-digest <digest>', 'approve only if the plan is this one')
    .option('--comment <text>', 'recorded with the approval')
    .option('--ssh-key <file>', 'sign the approval with this SSH key: nobody else can have made it then')
    .option('-y, --yes', 'do not ask')
    .action(run((session: Session, id: string, flags: DecideFlags) => decideOn(session, id, flags, 'approve')));
  withConnection(program.command('reject').argument('<id>'))
    .description('reject the plan: says why')
    .option('--plan-digest <digest>', 'reject only if the plan is this one')
    .requiredOption('--comment <text>', 'why, recorded with the rejection')
    .option('--ssh-key <file>', 'sign the rejection with this SSH key')
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
  const planDigest = planToDecide(id, change, flags.planDigest, verdict);
  const statement = flags.sshKey === undefined ? null : await statementFor(session, client, change, verdict);
  if (flags.yes !== true && flags.planDigest === undefined) await confirmPlan(session, change, verdict);
  const proof = statement === null ? undefined : { ssh: { expiresAt: statement.expiresAt, signature: await signWithSsh(session, flags.sshKey!, APPROVAL_NAMESPACE, canonicalBytes(statement)) } };
  const decided = verdict === 'approve' ? await client.approve(id, planDigest, flags.comment, proof) : await client.reject(id, planDigest, flags.comment!, proof);
  session.out.document(decided);
  session.out.line(`${verdict === 'approve' ? 'approved' : 'rejected'} ${planDigest}`);
  session.out.line(`${id} is ${decided.state}`);
  return EXIT.ok;
}

/** The digest of the plan that is there to decide on, of the very change that was named. @param expected the one that the caller has seen; left out: whatever it is @throws CliError */
export function planToDecide(id: string, { id: answered, state, planDigest }: ChangeView, expected: string | undefined, verdict: string): string {
  if (answered !== id) throw new CliError(EXIT.failed, 'plan-changed', { cause: `the sidecar answers with ${answered}, where ${id} was asked for`, effect: 'Nothing was signed or recorded.' });
  if (planDigest === null) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: `${id} is ${state} and has no plan to ${verdict} yet`, effect: 'Nothing was recorded.', next: `countersign changes watch ${id}` });
  }
  if (expected !== undefined && expected !== planDigest) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: `the plan of ${id} is now ${planDigest}`, effect: 'Nothing was recorded.', next: `countersign changes show ${id}` });
  }
  return planDigest;
}

/**
 * The statement that is to be signed: on this verdict and the plan that is shown, and on nothing else, whatever the sidecar would have her sign.
 *
 * @throws CliError
 */
async function statementFor(session: Session, client: Client, change: ChangeView, verdict: 'approve' | 'reject'): Promise<ApprovalStatement> {
  const { statement } = await client.statement(change.id, verdict);
  const fault = statementFault(change, statement, verdict, session.nowMs());
  if (fault !== null) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: `what is to be signed is ${fault}`, effect: 'Nothing was signed or recorded.', next: `countersign changes show ${change.id}` });
  }
  session.out.say(`signing as ${statement.approver}, good until ${statement.expiresAt}`);
  return statement;
}

/** Shows the plan and asks. @param how what is to become of it, in lines @throws CliError where nobody can answer, or the answer is no */
export async function confirmPlan(session: Session, change: ChangeView, verdict: string, how: readonly string[] = []): Promise<void> {
  const effect = 'Nothing was recorded.';
  if (!session.interactive) {
    throw new CliError(EXIT.usage, 'usage', { cause: 'nobody is there to look at the plan', effect, next: `give --plan-digest ${change.planDigest ?? ''}, or --yes for whatever the plan is` });
  }
  const differing = differingField(change);
  if (differing !== null) throw new CliError(EXIT.failed, 'plan-changed', { cause: `${change.id} is shown with another plan than its digest is of (${differing})`, effect, next: `countersign changes show ${change.id}` });
  for (const line of describeChange(change, session.out, { nowMs: session.nowMs() })) session.out.say(line);
  for (const line of how) session.out.say(line);
  const answer = await session.ask(`${verdict} this plan? [y/N] `);
  if (!/^y(es)?$/i.test(answer)) throw new CliError(EXIT.failed, 'not-confirmed', { cause: 'not confirmed', effect });
}

async function withdraw(session: Session, id: string, flags: DecideFlags): Promise<ExitCode> {
  const change = await connectTo(flags, session).withdraw(id, flags.comment);
  session.out.document(change);
  session.out.line(`${id} is ${change.state}`);
  return EXIT.ok;
}
