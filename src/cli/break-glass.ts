/** `countersign breakglass use|review`: one person's own signature in the place of the approvals, and somebody else's look at it afterwards. */
import { randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import { canonicalBytes } from '../../ledger/index.ts';
import { logOf } from '../change/derive.ts';
import type { BreakGlassReviewBody, ChangeView, Client } from '../client/index.ts';
import { BREAK_GLASS_REVIEW_NAMESPACE, BREAK_GLASS_ROTATIONS, BREAK_GLASS_VERDICTS, type BreakGlassReviewStatement } from '../protocol/break-glass-review.ts';
import { BREAK_GLASS_NAMESPACE, BREAK_GLASS_SECONDS_MAX, type BreakGlassStatement } from '../protocol/break-glass.ts';
import { commitmentTo } from '../protocol/disclosure.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { confirmPlan } from './decide.ts';
import { reviewDue } from './describe.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import { differingField } from './shown-plan.ts';
import { reviewFault } from './shown-statement.ts';
import { signWithSsh } from './ssh-sign.ts';
import type { Session } from './world.ts';

interface UseFlags extends ConnectFlags {
  readonly reason: string;
  readonly sshKey: string;
  readonly planDigest?: string;
  readonly yes?: boolean;
}

interface ReviewFlags extends ConnectFlags {
  readonly verdict: (typeof BREAK_GLASS_VERDICTS)[number];
  readonly comment: string;
  readonly rotation?: (typeof BREAK_GLASS_ROTATIONS)[number];
  readonly sshKey?: string;
}

export function addBreakGlass(program: Command, run: Runner): void {
  const breakglass = program.command('breakglass').description('give a lease alone when nobody can be waited for, where floor and policy let you; and review that afterwards');
  withConnection(breakglass.command('use').argument('<id>'))
    .description('sign in the place of the approvals of exactly the plan that is shown')
    .requiredOption('--reason <text>', 'why nobody can be waited for, recorded')
    .requiredOption('--ssh-key <file>', 'the SSH key that signs: one of yours that the trust folders name')
    .option('--plan-digest <digest>', 'only if the plan is this one')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nThose who were asked are told. One of them reviews it, in time: until then you break no other glass.')
    .action(run(use));
  withConnection(breakglass.command('review').argument('<id>'))
    .description('say whether somebody else broke the glass rightly')
    .addOption(new Option('--verdict <verdict>', 'what it comes to').choices(BREAK_GLASS_VERDICTS).makeOptionMandatory())
    .requiredOption('--comment <text>', 'what you found, recorded')
    .addOption(new Option('--rotation <what>', 'the new credential that the login owes since the lease has ended is not needed').choices(BREAK_GLASS_ROTATIONS))
    .option('--ssh-key <file>', 'sign the review with this SSH key: where the floor asks for it, nothing else is one')
    .action(run(review));
}

async function use(session: Session, id: string, flags: UseFlags): Promise<ExitCode> {
  const client = connectTo(flags, session);
  const change = await client.get(id);
  const { planDigest } = change;
  const effect = 'Nothing was signed or recorded.';
  if (planDigest === null || (flags.planDigest !== undefined && flags.planDigest !== planDigest)) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: planDigest === null ? `${id} is ${change.state} and has no plan yet` : `the plan of ${id} is now ${planDigest}`, effect, next: `countersign changes show ${id}` });
  }
  const unsaid = await client.breakGlassStatement(id);
  const isThat = unsaid.changeId === id && unsaid.log === logOf(id) && unsaid.revision === change.revision && unsaid.planDigest === planDigest;
  const differing = isThat ? differingField(change) : 'statement';
  if (differing !== null || !(Date.parse(unsaid.expiresAt) <= session.nowMs() + BREAK_GLASS_SECONDS_MAX * 1000)) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: differing === null ? `what is to be signed is good until ${unsaid.expiresAt}, which is longer than it may be` : `what is to be signed is not the plan that ${id} is shown with (${differing})`, effect, next: `countersign changes show ${id}` });
  }
  if (flags.yes !== true && flags.planDigest === undefined) await confirmPlan(session, change, 'break the glass for');
  const salt = randomBytes(16).toString('base64url');
  const statement: BreakGlassStatement = { ...unsaid, reason: commitmentTo({ name: 'reason', salt, value: flags.reason }) };
  session.out.say(`signing as ${statement.usedBy}, good until ${statement.expiresAt}`);
  const signature = await signWithSsh(session, flags.sshKey, BREAK_GLASS_NAMESPACE, canonicalBytes(statement));
  const broken = await client.breakGlass(id, { planDigest, reason: flags.reason, salt, ssh: { expiresAt: statement.expiresAt, signature } });
  session.out.document(broken);
  session.out.line(`the glass is broken for ${planDigest}`);
  session.out.line(`${id} is ${broken.state}${dueOf(broken)}`);
  return EXIT.ok;
}

const dueOf = ({ breakGlass }: ChangeView): string => (breakGlass === undefined ? '' : `; ${reviewDue(breakGlass)}`);

async function review(session: Session, id: string, { verdict, comment, rotation, sshKey, ...flags }: ReviewFlags): Promise<ExitCode> {
  const client = connectTo(flags, session);
  const said = { verdict, ...(rotation === undefined ? {} : { rotation }) };
  const signed = sshKey === undefined ? null : await signReview(session, client, id, { ...said, comment, sshKey });
  const reviewed = await client.reviewBreakGlass(id, { ...said, comment, ...(signed === null ? {} : { signed }) });
  session.out.document(reviewed);
  session.out.line(`${id} is reviewed: ${verdict}${rotation === undefined ? '' : '; no rotation is needed'}`);
  return EXIT.ok;
}

/** What she says, signed by her own key: about the change that she names, and about no other, whatever the sidecar would have her sign. */
async function signReview(session: Session, client: Client, id: string, { comment, sshKey, ...said }: Pick<ReviewFlags, 'verdict' | 'rotation' | 'comment'> & { readonly sshKey: string }): Promise<NonNullable<BreakGlassReviewBody['signed']>> {
  const { statement: unsaid } = await client.breakGlassReviewStatement(id);
  const fault = reviewFault(id, unsaid, session.nowMs());
  if (fault !== null) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: `what is to be signed is ${fault}`, effect: 'Nothing was signed or recorded.', next: `countersign changes show ${id}` });
  }
  const salt = randomBytes(16).toString('base64url');
  const statement: BreakGlassReviewStatement = { ...unsaid, ...said, comment: commitmentTo({ name: 'comment', salt, value: comment }) };
  session.out.say(`signing as ${statement.reviewer}, good until ${statement.expiresAt}`);
  return { salt, ssh: { expiresAt: statement.expiresAt, signature: await signWithSsh(session, sshKey, BREAK_GLASS_REVIEW_NAMESPACE, canonicalBytes(statement)) } };
}
