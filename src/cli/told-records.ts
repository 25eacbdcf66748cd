/** Records by their numbers, each as a sentence, from a ledger folder or an evidence pack that was verified before. */
import { basename } from 'node:path';
import { readCheckpoint, readDirectory, type LedgerRecord } from '../../ledger/index.ts';
import { openArchive } from '../evidence/pack-archive.ts';
import { readContents, textOf } from '../evidence/pack-contents.ts';
import { disclosedIn, isChangeEventType, type ReadObject } from '../evidence/record.ts';
import { tellStory, type StoryLine } from '../evidence/story.ts';
import { upcast } from '../evidence/upcast.ts';
import { withReadAhead } from '../workbench/read-ahead.ts';
import { withArchived } from './archived.ts';
import { withPackFile } from './pack-file.ts';
import type { NamedEvidence } from './verify-path.ts';
import type { Session } from './world.ts';

export interface ToldRecord extends StoryLine {
  readonly type: string;
}

/** Tells `take` of each of them, in their order. Of a pack those that it does not show are passed over. */
export async function tellRecords(session: Session, { path, isPack }: NamedEvidence, archive: readonly string[] | undefined, seqs: readonly number[], take: (told: ToldRecord) => void): Promise<void> {
  const ordered = [...new Set(seqs)].sort((a, b) => a - b);
  if (isPack) {
    return withPackFile(path, async (bytes) => {
      const pack = await openArchive(bytes);
      const note = await textOf(pack, { kind: 'checkpoint' });
      const { shown, readRecord, readObject } = await readContents(pack, { checkpoint: readCheckpoint(note), note, progress: () => undefined, signal: session.signal });
      const there = new Set(shown.map(({ seq }) => seq));
      for (const seq of ordered) if (there.has(seq)) take(await told(await readRecord(seq), readObject));
    });
  }
  const reading = await readDirectory(withReadAhead(withArchived(session, path, archive)), basename(path));
  for (const [from, to] of runsOf(ordered)) {
    for await (const { record } of reading.entries(from, to)) {
      session.signal.throwIfAborted();
      take(await told(record, (digest) => reading.object(digest)));
    }
  }
}

/** Those that follow each other, as one reading. */
function runsOf(ordered: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const seq of ordered) {
    const last = runs.at(-1);
    if (last?.[1] === seq) last[1] = seq + 1;
    else runs.push([seq, seq + 1]);
  }
  return runs;
}

async function told(stored: LedgerRecord, readObject: ReadObject): Promise<ToldRecord> {
  const record = upcast(stored);
  const { seq, type, at, actor } = record;
  const { body } = await disclosedIn(record, stored.v, readObject);
  if (!isChangeEventType(type)) return { record: seq, at, type, text: `${actor} recorded ${type}${detailsOf(body)}.` };
  return { type, ...tellStory([{ seq, type, at, actor, body }])[0]! };
}

/** What of a body is short: `: connector pg-main, complete true`. */
function detailsOf(body: LedgerRecord['body']): string {
  const short = Object.entries(body).flatMap(([name, value]) => (typeof value === 'number' || typeof value === 'boolean' || (typeof value === 'string' && value.length <= 200) ? [`${name} ${value}`] : []));
  return short.length === 0 ? '' : `: ${short.join(', ')}`;
}
