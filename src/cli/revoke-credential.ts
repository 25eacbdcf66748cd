/** `countersign revoke --credential`: what a leaked credential opens is taken back, and what no order takes back is said, with what does. */
import { ClientError } from '../client/index.ts';
import type { Credential } from '../evidence/credential.ts';
import type { Held } from '../evidence/held.ts';
import { connectTo, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { findCredential, fingerprintsIn, ownersIn, tellCredential, type IdentifyFlags } from './identify.ts';
import { plain } from './output.ts';
import { meansSidecarIsGone, openRevokerKey, orderBack, readInstallation, type DirectFlags } from './revoke-directly.ts';
import type { Session } from './world.ts';

export interface CredentialFlags extends ConnectFlags, DirectFlags, IdentifyFlags {
  readonly comment?: string;
}

/** How long the sidecar has before it is done without. */
const SIDECAR_MS = 3_000;

export async function revokeCredential(session: Session, flags: CredentialFlags): Promise<ExitCode> {
  const { out } = session;
  const { credentials } = await findCredential(session, flags, await fingerprintsIn(session, flags));
  const owners = ownersIn(session, flags);
  for (const one of credentials) tellCredential({ out: { ...out, line: out.say } }, one, owners.get(one.subject) ?? null);
  const opens = [...new Map(credentials.flatMap((one) => one.opens).map((held) => [held.changeId, held])).values()];
  const standing = credentials.filter(isStanding);
  if (opens.length === 0 && standing.length === 0) {
    throw new CliError(EXIT.failed, 'nothing-to-revoke', { cause: `it opens nothing any more: ended by ${credentials[0]?.endedBy ?? 'its lease'}`, effect: 'Nothing was sent.' });
  }
  if (opens.length === 0) out.document({ direct: false, revokes: [], standing: standing.map(({ changeId, connector, target, account }) => ({ changeId, connector, target, account })) });
  const exit = opens.length === 0 ? EXIT.ok : await takeBack(session, flags, opens);
  for (const one of standing) sayWhatElse(session, one);
  return exit === EXIT.ok && standing.length > 0 ? EXIT.pending : exit;
}

/** Whether it may still work and no order takes it back: it stands, and is shut out by another change. */
function isStanding({ changeId, endedBy, opens }: Credential): boolean {
  return endedBy === null && !opens.some((held) => held.changeId === changeId);
}

function sayWhatElse({ out }: Session, { subject, connector, target, account }: Credential): void {
  out.say(`${out.bad('NOT taken back')}: ${plain(account)} at ${connector} / ${plain(target)} stands, and no order ends it. Now:`);
  out.say(`  countersign lock set --nhi ${subject} --connector ${connector} --reason 'its credential leaked'`);
  out.say(`  countersign request --kind rotate --subject ${subject} --connector ${connector} --target ${plain(target)} …     a new secret in its place`);
  out.say(`  countersign request --kind disable --subject ${subject} --connector ${connector} --target ${plain(target)} …    or shut it out altogether`);
}

async function takeBack(session: Session, flags: CredentialFlags, opens: readonly Held[]): Promise<ExitCode> {
  const { out } = session;
  const direct = (): Promise<ExitCode> => {
    const installation = readInstallation(session, flags);
    return orderBack(session, flags, installation, openRevokerKey(session, flags, installation), opens.map(({ order }) => order));
  };
  if (flags.write !== undefined) return direct();
  try {
    const client = connectTo(flags, session, SIDECAR_MS);
    const revokes: { changeId: string; recorded: boolean }[] = [];
    for (const { changeId } of opens) {
      try {
        revokes.push({ changeId, recorded: (await client.revoke(changeId, flags.comment)).recorded });
      } catch (error) {
        // Given and taken back between the ledger that was read and now, or never given.
        if (!(error instanceof ClientError) || error.code !== 'nothing-to-revoke') throw error;
      }
    }
    out.document({ direct: false, revokes });
    for (const { changeId } of revokes) out.line(`${changeId} revoking`);
    return EXIT.ok;
  } catch (error) {
    if (!meansSidecarIsGone(error)) throw error;
    out.say(`the sidecar does not answer (${(error as Error).message}): going to the executor directly`);
    return direct();
  }
}
