/** `countersign changes why ID`: the story of a change, a sentence a record. */
import { tellStory } from '../evidence/story.ts';
import { connectTo, type ConnectFlags } from './connect.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { spaced } from './output.ts';
import type { Session } from './world.ts';

export async function why(session: Session, id: string, flags: ConnectFlags): Promise<ExitCode> {
  const { out } = session;
  const evidence = await connectTo(flags, session).evidence(id);
  const story = tellStory(evidence.records, evidence.disclosures);
  out.document({ change: id, story });
  const width = String(story.at(-1)?.record ?? 0).length;
  out.line(out.bold(id));
  for (const { record, at, text } of story) out.line(`${String(record).padStart(width)}  ${out.dim(at)}  ${spaced(text)}`);
  return EXIT.ok;
}
