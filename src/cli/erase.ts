/** `countersign erase`: what is beside the records is forgotten, and that it was is on record. */
import { InvalidArgumentError, type Command } from 'commander';
import { isDigest } from '../../ledger/index.ts';
import type { EraseBody, ErasureView } from '../client/index.ts';
import { ERASABLE_KINDS, KINDS_BY_DEFAULT, type ErasableKind } from '../evidence/erasable.ts';
import { connectTo, withConnection, type ConnectFlags } from './connect.ts';
import { CliError, EXIT, type ExitCode } from './exit.ts';
import { plain, table } from './output.ts';
import type { Runner } from './runner.ts';
import type { Session } from './world.ts';

interface EraseFlags extends ConnectFlags {
  readonly object?: readonly string[];
  readonly change?: string;
  readonly kinds?: readonly ErasableKind[];
  readonly basis: string;
}

export function addErase(program: Command, run: Runner): void {
  withConnection(program.command('erase'))
    .description('have objects forgotten, on record: policy inputs, plans, states, facts, pages, what people wrote. What is in a record itself stays')
    .option('--object <digest>', 'this one; may be given again', objects)
    .option('--change <id>', `those of this change: its ${KINDS_BY_DEFAULT.join(', ')}`)
    .option('--kinds <kinds>', `with --change, these and no others: ${ERASABLE_KINDS.join(', ')}`, kindsOf)
    .requiredOption('--basis <text>', 'why it may, or must, be; recorded beside the ledger, so without the data itself')
    .addHelpText('after', '\nWhat a change that is open needs is not erased, and it does not need what people wrote (--kinds disclosure); nor are policy bundles, the facts in force, and records of adopted changes.\nWhat is erased cannot be had again, and what it stood for not be verified any more: verify says under which record it went.')
    .action(run(erase));
}

function objects(digest: string, before: readonly string[] = []): readonly string[] {
  if (!isDigest(digest)) throw new InvalidArgumentError('not a digest: sha256: and 64 lower-case hex digits');
  return before.includes(digest) ? before : [...before, digest];
}

function kindsOf(text: string): ErasableKind[] {
  const named = [...new Set(text.split(',').map((kind) => kind.trim()))];
  const kinds = ERASABLE_KINDS.filter((kind) => named.includes(kind));
  if (kinds.length !== named.length) throw new InvalidArgumentError(`the kinds are ${ERASABLE_KINDS.join(', ')}`);
  return kinds;
}

async function erase(session: Session, { object, change, kinds, basis, ...flags }: EraseFlags): Promise<ExitCode> {
  const { out } = session;
  const usage = (cause: string): CliError => new CliError(EXIT.usage, 'usage', { cause, effect: 'Nothing was erased.' });
  if ((object === undefined) === (change === undefined)) throw usage('give --object or --change');
  if (kinds !== undefined && change === undefined) throw usage('--kinds are those of a --change');
  const body: EraseBody = object === undefined ? { change: change!, ...(kinds === undefined ? {} : { kinds: [...kinds] }), basis } : { objects: [...object], basis };
  const answer = await connectTo(flags, session).erase(body);
  out.document(answer);
  for (const line of linesOf(answer)) out.line(line);
  if (answer.erased.length === 0) out.say(answer.already.length === 0 ? 'there was nothing to erase' : 'all of it was erased before');
  return EXIT.ok;
}

function linesOf({ erased, already }: ErasureView): string[] {
  const row = (how: string) => ({ digest, kind, seq, changes }: ErasureView['erased'][number]): string[] => [how, `seq ${seq}`, kind, digest, changes.length > 1 ? `shared by ${changes.map(plain).join(', ')}` : plain(changes[0] ?? '')];
  return table([...erased.map(row('erased under')), ...already.map(row('erased before, under'))]);
}
