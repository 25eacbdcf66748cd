/** `countersign policy proposed|approve|reject`: which bundle waits for people to let it come into force, and what they say. What is approved is its digest. */
import type { Command } from 'commander';
import { canonicalBytes } from '../../ledger/index.ts';
import { ClientError, type Client, type ProposalView } from '../client/index.ts';
import type { ProposalStatement } from '../protocol/activation.ts';
import { PROPOSAL_NAMESPACE } from '../protocol/activation-proof.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import type { Runner } from './runner.ts';
import { describeProposal, differingProposal } from './shown-proposal.ts';
import { signWithSsh } from './ssh-sign.ts';
import type { Session } from './world.ts';

interface DecideFlags extends ConnectFlags {
  readonly sshKey?: string;
  readonly reason?: string;
}

export function addProposed(policy: Command, run: Runner): void {
  withConnection(policy.command('proposed'))
    .description('the bundle that waits for people to let it come into force, or was decided on last: its digest, what is other than before, and who must')
    .addHelpText('after', '\nExits 0 where nothing waits, 5 where something does.')
    .action(run(show));
  withConnection(policy.command('approve').argument('<digest>', 'of the bundle, as proposed shows it'))
    .description('let exactly this bundle come into force')
    .option('--ssh-key <file>', 'sign the approval with this SSH key: nobody else can have made it then')
    .action(run((session: Session, digest: string, flags: DecideFlags) => decideOn(session, digest, flags, 'approve')));
  withConnection(policy.command('reject').argument('<digest>', 'of the bundle, as proposed shows it'))
    .description('keep exactly this bundle out: the one before stays in force')
    .requiredOption('--reason <text>', 'why, recorded in clear')
    .option('--ssh-key <file>', 'sign the rejection with this SSH key')
    .action(run((session: Session, digest: string, flags: DecideFlags) => decideOn(session, digest, flags, 'reject')));
}

async function show(session: Session, flags: ConnectFlags): Promise<ExitCode> {
  const { out } = session;
  const answer = await connectTo(flags, session).proposedPolicy();
  out.document(answer);
  for (const line of describeProposal(answer)) out.line(line);
  const { proposed } = answer;
  if (proposed?.outcome !== 'waiting') return EXIT.ok;
  out.say(`to let it come into force:  countersign policy approve ${proposed.bundle}`);
  return EXIT.pending;
}

/** @throws CliError where another bundle is proposed, or none */
async function decideOn(session: Session, bundle: string, flags: DecideFlags, verdict: 'approve' | 'reject'): Promise<ExitCode> {
  const { reason, sshKey } = flags;
  const client = connectTo(flags, session);
  const { proposed } = await client.proposedPolicy();
  if (proposed === null || proposed.bundle !== bundle) {
    throw new CliError(EXIT.failed, 'held-changed', { cause: proposed === null ? 'no bundle was proposed' : `the bundle that was proposed is ${proposed.bundle}`, effect: 'Nothing was recorded.', next: 'countersign policy proposed' });
  }
  const statement = sshKey === undefined ? null : await statementFor(session, client, proposed, verdict);
  const ssh = statement === null ? {} : { ssh: { expiresAt: statement.expiresAt, signature: await signWithSsh(session, sshKey!, PROPOSAL_NAMESPACE, canonicalBytes(statement)) } };
  const decided = await decidedBy(client.decideProposedPolicy({ proposalId: proposed.proposalId, bundle, verdict, ...(reason === undefined ? {} : { reason }), ...ssh }), bundle);
  session.out.document(decided);
  session.out.line(`${verdict === 'approve' ? 'approved' : 'rejected'} ${bundle}`);
  session.out.line(decided.outcome === 'activated' ? 'it has come into force' : decided.outcome === 'rejected' ? 'it does not come into force' : 'it waits for others');
  return EXIT.ok;
}

/**
 * The statement that is to be signed: on this verdict and the bundle that was named, and on nothing else, whatever the sidecar would have her sign.
 *
 * @throws CliError
 */
async function statementFor(session: Session, client: Client, proposed: ProposalView, verdict: 'approve' | 'reject'): Promise<ProposalStatement> {
  const { statement } = await client.proposedPolicyStatement(verdict);
  const differing = differingProposal(statement, proposed, verdict, session.nowMs());
  if (differing !== null) {
    throw new CliError(EXIT.failed, 'held-changed', { cause: `what is to be signed is not a verdict on what is shown of ${proposed.bundle} (${differing})`, effect: 'Nothing was signed or recorded.', next: 'countersign policy proposed' });
  }
  session.out.say(`signing as ${statement.approver} for log ${statement.log}, good until ${statement.expiresAt}`);
  return statement;
}

async function decidedBy(answer: Promise<ProposalView>, bundle: string): Promise<ProposalView> {
  try {
    return await answer;
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code !== 'proof-too-weak') throw cause;
    throw new CliError(EXIT.failed, cause.code, { cause: cause.message, effect: 'Nothing was recorded.', next: `sign it yourself:  countersign policy approve ${bundle} --ssh-key ~/.ssh/id_ed25519` }, { cause });
  }
}
