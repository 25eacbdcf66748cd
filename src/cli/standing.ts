/** `countersign standing sign|list|revoke`: what is asked for again and again is approved once, within bounds that are signed. */
import { randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import { canonicalBytes, canonicalText } from '../../ledger/index.ts';
import type { StandingApprovalView } from '../client/index.ts';
import { commitmentTo } from '../protocol/disclosure.ts';
import { STANDING_NAMESPACE, STANDING_SECONDS_MAX, STANDING_STATES, standingStatementSchema, templateFault, type StandingState, type StandingStatement } from '../protocol/standing-approval.ts';
import { durationSchema, durationSeconds, formatTime } from '../protocol/values.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain, spaced, table } from './output.ts';
import { firstOf, limitOf } from './pages.ts';
import type { Runner } from './runner.ts';
import { standingEnd, templateLines } from './shown-template.ts';
import { signWithSsh } from './ssh-sign.ts';
import type { Session } from './world.ts';

interface SignFlags extends ConnectFlags {
  readonly nhi: string;
  readonly kind: readonly string[];
  readonly connector: string;
  readonly target: string;
  readonly account?: readonly string[];
  readonly privilege?: readonly string[];
  readonly recipient?: readonly string[];
  readonly maxLease?: string;
  readonly uses: string;
  readonly for: string;
  readonly reason: string;
  readonly sshKey: string;
  readonly yes?: boolean;
}

export function addStanding(program: Command, run: Runner): void {
  const standing = program.command('standing').description('approve once what is asked for again and again, within bounds that you sign');
  withConnection(standing.command('sign'))
    .description('sign a standing approval: plans within it are approved in your name, without asking you')
    .requiredOption('--nhi <id>', 'for this identity')
    .requiredOption('--kind <kind...>', 'provision, grant, extend or rotate')
    .requiredOption('--connector <id>', 'at this connector')
    .requiredOption('--target <name>', 'and this target of it')
    .option('--account <name...>', "the identity's accounts there that may be touched")
    .option('--privilege <name...>', 'all that may be given')
    .option('--recipient <recipient...>', 'whom a new secret may be sealed to (age1…), or where it may be kept (kv:…)')
    .option('--max-lease <duration>', 'the longest lease, such as PT1H; without --kind rotate alone it must be said')
    .requiredOption('--uses <count>', 'how often')
    .requiredOption('--for <duration>', 'how long from now on, at most P30D')
    .requiredOption('--reason <text>', 'why, recorded')
    .requiredOption('--ssh-key <file>', 'the SSH key that signs: one of yours that the trust folders name')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nIt counts where you are asked, policy lets standing approvals count, and the floor of the executor does (`standing`). Each use is on record.')
    .action(run(sign));
  withConnection(standing.command('list')).description('the standing approvals that you may see, oldest first')
    .addOption(new Option('--state <state>', 'only those that approve something still, or only those that do not').choices(STANDING_STATES))
    .option('--limit <n>', 'at most so many', '1000')
    .action(run(list));
  withConnection(standing.command('revoke').argument('<id>'))
    .description('it approves nothing more, and what it has approved and nobody has begun is over')
    .requiredOption('--reason <text>', 'why, recorded')
    .action(run(revoke));
}

async function sign(session: Session, flags: SignFlags): Promise<ExitCode> {
  const client = connectTo(flags, session);
  const { log, principal } = await client.standingApprovals({ limit: 1 });
  const salt = randomBytes(16).toString('base64url');
  const statement = templateOf(flags, { log, approver: principal, nowMs: session.nowMs(), salt });
  if (flags.yes !== true) await confirm(session, statement);
  const signature = await signWithSsh(session, flags.sshKey, STANDING_NAMESPACE, canonicalBytes(statement));
  const given = await client.giveStandingApproval({ statement, reason: flags.reason, salt, signature });
  if (canonicalText(given.statement) !== canonicalText(statement)) {
    throw new CliError(EXIT.failed, 'plan-changed', { cause: `the sidecar has recorded another standing approval than was signed (${plain(given.approvalId)})`, effect: 'No executor takes what you have not signed.', next: `countersign standing revoke ${plain(given.approvalId)} --reason …` });
  }
  session.out.document(given);
  session.out.line(`${given.approvalId} approves what is within it until ${statement.expiresAt}`);
  session.out.say(`to end it:  countersign standing revoke ${given.approvalId} --reason …`);
  return EXIT.ok;
}

function templateOf(flags: SignFlags, { log, approver, nowMs, salt }: { readonly log: string; readonly approver: string; readonly nowMs: number; readonly salt: string }): StandingStatement {
  const wrong = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was signed.' });
  const seconds = (name: string, text: string): number => {
    if (!durationSchema.safeParse(text).success) throw wrong(`--${name} takes a duration such as PT1H, and ${plain(text)} is not a duration`);
    return durationSeconds(text);
  };
  const goodSeconds = seconds('for', flags.for);
  if (goodSeconds > STANDING_SECONDS_MAX) throw wrong('--for is at most P30D');
  const parsed = standingStatementSchema.safeParse({
    v: 1, log, approver, subject: flags.nhi, kinds: flags.kind, connector: flags.connector, target: flags.target, accounts: flags.account ?? [], privileges: flags.privilege ?? [], recipients: flags.recipient ?? [],
    maxLeaseSeconds: flags.maxLease === undefined ? null : seconds('max-lease', flags.maxLease), uses: Number(flags.uses), notBefore: formatTime(nowMs), expiresAt: formatTime(nowMs + goodSeconds * 1000),
    reason: commitmentTo({ name: 'reason', salt, value: flags.reason }),
  });
  if (!parsed.success) throw wrong(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const why = templateFault(parsed.data);
  if (why !== null) throw wrong(why);
  return parsed.data;
}

/** @throws CliError where nobody can answer, or the answer is no */
async function confirm(session: Session, statement: StandingStatement): Promise<void> {
  const effect = 'Nothing was signed.';
  if (!session.interactive) throw new CliError(EXIT.usage, 'usage', { cause: 'nobody is there to look at what is signed', effect, next: 'give --yes' });
  for (const { name, text } of templateLines(statement)) session.out.say(`  ${name.padEnd(10)}${text}`);
  const answer = await session.ask('sign this standing approval? [y/N] ');
  if (!/^y(es)?$/i.test(answer)) throw new CliError(EXIT.failed, 'not-confirmed', { cause: 'not confirmed', effect });
}

async function list(session: Session, { state, limit, ...flags }: ConnectFlags & { readonly state?: StandingState; readonly limit: string }): Promise<ExitCode> {
  const most = limitOf(limit);
  const client = connectTo(flags, session);
  let who: object = {};
  const { all: found, next } = await firstOf<StandingApprovalView>(most, async (page) => {
    const { standingApprovals, next: after = null, ...rest } = await client.standingApprovals({ ...page, ...(state === undefined ? {} : { state }) });
    who = rest;
    return { all: standingApprovals, next: after };
  });
  session.out.document({ ...who, standingApprovals: found, next });
  if (found.length === 0) session.out.say('no standing approvals that you may see');
  for (const line of table(found.map((one) => rowOf(one, session.nowMs())))) session.out.line(line);
  if (next !== null) session.out.say(`there are more than these ${found.length}: --limit`);
  return EXIT.ok;
}

function rowOf(one: StandingApprovalView, nowMs: number): string[] {
  const { approvalId, statement: { approver, subject, kinds, connector, target, uses, expiresAt }, used } = one;
  const standing = standingEnd(one, nowMs) ?? `until ${expiresAt}`;
  return [approvalId, approver, `${kinds.join(', ')} for ${subject}`, `${connector}/${target}`, `used ${used} of ${uses}`, standing].map(spaced);
}

async function revoke(session: Session, id: string, { reason, ...flags }: ConnectFlags & { readonly reason: string }): Promise<ExitCode> {
  const revoked = await connectTo(flags, session).revokeStandingApproval(id, reason);
  session.out.document(revoked);
  session.out.line(`${revoked.approvalId} approves nothing more; it was used ${revoked.used} of ${revoked.statement.uses} times`);
  return EXIT.ok;
}
