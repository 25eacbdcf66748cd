/** What has happened, record by record, as it happens; each with the way to its proof. */
import type { Evidence } from '../../client/index.ts';
import { tellStory } from '../../evidence/story.ts';
import { plain } from '../../protocol/plain.ts';
import { Time } from './small.tsx';

/** `proofs`: where the proof of each record by its number is; absent: not for her to see. */
export function Story({ evidence, path, proofs }: { evidence: Evidence; path: string; proofs?: (seq: number) => string }) {
  return (
    <section id="story" aria-labelledby="story-title">
      <h2 id="story-title">What has happened</h2>
      <ol class="story" role="list" aria-live="polite" aria-relevant="additions">
        {tellStory(evidence.records, evidence.disclosures).map(({ record, at, text }) => (
          <li id={`r${record}`}>
            <p>{plain(text)}</p>
            <p class="meta"><Time at={at} /><a href={`${path}/evidence#r${record}`}>record {record}</a>{proofs === undefined ? null : <a href={proofs(record)}>proof<span class="hidden"> of record {record}</span></a>}</p>
          </li>
        ))}
      </ol>
      <p class="meta"><a href={`${path}/evidence`}>Evidence and proof</a></p>
    </section>
  );
}
