/** How every command is run: its output opened, its errors told as cause, effect and next step, its outcome an exit code. */
import { AccessError } from '../client/access-error.ts';
import { ClientError } from '../client/errors.ts';
import { TrustError } from '../protocol/trust-folder.ts';
import { CliError, EXIT, type ExitCode, type Trouble } from './exit.ts';
import { openOutput, plain, type Output } from './output.ts';
import type { Session, World } from './world.ts';

/** Makes a commander action of a function on a session. commander gives it what the command line says: arguments first, then the options. */
export type Runner = (act: (session: Session, ...args: never[]) => Promise<number>) => (...args: unknown[]) => Promise<void>;

interface Global {
  readonly json?: boolean;
  readonly as?: string;
}

export function openRunner(world: World, finished: (exit: number) => void): Runner {
  return (act) => async (...args) => {
    // commander appends the command itself to the arguments and options of an action
    const command = args.at(-1) as { optsWithGlobals: () => Global };
    const { json = false, as } = command.optsWithGlobals();
    const session: Session = { ...world, out: openOutput({ stdout: world.stdout, stderr: world.stderr, env: world.env, json }) };
    try {
      finished(await act(session, ...(args.slice(0, -1) as never[])));
    } catch (error) {
      finished(tell(session.out, error, as));
    }
  };
}

/**
 * Says what went wrong, on stderr and as the JSON document where that is asked for. Returns the exit code.
 *
 * @param as whoever asked: the next command, where there is one, is theirs as well
 */
export function tell(out: Output, error: unknown, as?: string): ExitCode {
  const { exit, code, trouble: whole }: Told = troubleOf(error);
  const { next, ...said }: Trouble = whole;
  const trouble: Trouble = next === undefined ? said : { ...said, next: as === undefined ? next : next.replace(/countersign changes \w+ \S+$/, `$& --as ${as}`) };
  out.document({ error: { code, ...trouble } });
  out.say(`${out.bad('error')} (${code}): ${plain(trouble.cause)}`);
  if (trouble.effect !== undefined) out.say(plain(trouble.effect));
  if (trouble.next !== undefined) out.say(`next: ${plain(trouble.next)}`);
  return exit;
}

interface Told {
  readonly exit: ExitCode;
  readonly code: string;
  readonly trouble: CliError['trouble'];
}

function troubleOf(error: unknown): Told {
  if (error instanceof CliError) return error;
  if (error instanceof ClientError) return troubleOfClient(error);
  if (error instanceof AccessError) return troubleOfAccess(error);
  if (error instanceof TrustError) return { exit: EXIT.io, code: 'trust', trouble: { cause: `the trust folder cannot be believed: ${error.message}`, effect: 'Nothing was sent.' } };
  const { code, message } = error as { code?: unknown; message?: unknown };
  return { exit: EXIT.io, code: typeof code === 'string' ? code : 'internal', trouble: { cause: typeof message === 'string' ? message : String(error) } };
}

/** The command did not run. What the change came to is 1, what it waits for 5. */
function troubleOfAccess({ code, message, change }: AccessError): Told {
  const trouble = { cause: message, effect: 'The command was not run.', next: `countersign changes show ${change.id}` };
  if (code === 'still-pending') return { exit: EXIT.pending, code, trouble };
  return { exit: code === 'aborted' || code === 'not-claimed' ? EXIT.io : EXIT.failed, code, trouble };
}

/** What may be wrong with the caller's own doing is 1 or 2; what is wrong between here and the sidecar is 4. */
function troubleOfClient(error: ClientError): Told {
  const detail = error.errors.map(({ pointer, detail: text }) => `${pointer === '' ? '/' : pointer}: ${text}`).join('; ');
  const cause = detail === '' ? error.message : `${error.message} (${detail})`;
  switch (error.code) {
    case 'unreachable':
      return { exit: EXIT.io, code: error.code, trouble: { cause, effect: 'Nothing is known to have been recorded.', next: 'is the sidecar running?  countersign serve --config countersign.yaml' } };
    case 'timed-out':
    case 'aborted':
      return { exit: EXIT.io, code: error.code, trouble: { cause, effect: 'It may have been recorded.', next: 'look:  countersign changes list' } };
    case 'unexpected-answer':
    case 'internal':
      return { exit: EXIT.io, code: error.code, trouble: { cause, next: 'look at the log of the sidecar' } };
    case 'ledger-unwritable':
      return { exit: EXIT.io, code: error.code, trouble: { cause, effect: 'Nothing was recorded and nothing is given; revokes still work.', next: 'look at the disk of the sidecar, then start it again' } };
    case 'unauthenticated':
      return { exit: EXIT.failed, code: error.code, trouble: { cause: 'the sidecar does not know this token', effect: 'Nothing was recorded.', next: 'check --token-file or COUNTERSIGN_TOKEN_FILE' } };
    case 'malformed-json':
    case 'malformed-header':
    case 'malformed-query':
    case 'invalid-request':
    case 'mixed-targets':
    case 'lease-needs-executor':
      return { exit: EXIT.usage, code: error.code, trouble: { cause, effect: 'Nothing was recorded.' } };
    case 'proof-too-weak':
      return { exit: EXIT.failed, code: error.code, trouble: { cause, effect: 'Nothing was recorded.', next: 'sign it yourself:  countersign approve ID --ssh-key ~/.ssh/id_ed25519  (or, where a passkey is asked for, on the page /approve of the sidecar)' } };
    case 'plan-changed':
      return { exit: EXIT.failed, code: error.code, trouble: { cause, effect: 'Nothing was recorded.', next: 'look at the plan as it is now:  countersign changes show ID' } };
    default:
      return { exit: EXIT.failed, code: error.code, trouble: { cause } };
  }
}
