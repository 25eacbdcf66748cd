/** What a witness has seen of a log: its newest head, if that is signed by the log itself. Nothing else that a witness says of it is evidence. */
import { openNote, parseCheckpoint, type KnownHead, type TrustedWitness, type Verifier } from '../../ledger/index.ts';
import { headUrl, type WitnessHttp } from './http.ts';

export interface SeenHead extends KnownHead {
  /** The signed note. */
  readonly note: string;
}

/**
 * The head that `witness` cosigned last; null where it has never seen the log.
 *
 * @param keys those of the log, under its origin
 * @throws LedgerError where what it gives is not a checkpoint that one of `keys` has signed; Error where it cannot be asked
 */
export async function seenBy(witness: TrustedWitness, origin: string, keys: readonly Verifier[], http: Pick<WitnessHttp, 'get'>): Promise<SeenHead | null> {
  const answer = await http.get(headUrl(witness.url!, origin));
  if (answer.status === 404) return null;
  if (answer.status !== 200) throw new Error(`answered ${answer.status}`);
  const note = Buffer.from(answer.body).toString('utf8');
  const { size, root } = parseCheckpoint(openNote(note, keys.filter(({ name }) => name === origin)).text);
  return { by: witness.name, size, root, note };
}
