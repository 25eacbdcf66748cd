/** What has happened, record by record, as it happens; each with the way to its proof. */
import type { Evidence } from '../../client/index.ts';
import { tellStory } from '../../evidence/story.ts';
import { plain } from '../../protocol/plain.ts';
import { Time } from './small.tsx';

export function Story({ evidence, path }: { evidence: Evidence; path: string }) {
  return (
    <section id="story" aria-labelledby="story-title">
      <h2 id="story-title">What has happened</h2>
      <ol class="story" role="list" aria-live="polite" aria-relevant="additions">
        {tellStory(evidence.records, evidence.disclosures).map(({ record, at, text }) => (
          <li id={`r${record}`}>
            <p>{plain(text)}</p>
            <p class="meta"><Time at={at} /><a href={`${path}/evidence#r${record}`}>record {record}</a></p>
          </li>
        ))}
      </ol>
      <p class="meta"><a href={`${path}/evidence`}>Evidence and proof</a></p>
    </section>
  );
}
