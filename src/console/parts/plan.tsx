/** The plan as an approver sees it, line by line: the lines of every other channel, as a diff of what is held. */
import type { ChangeView } from '../../client/index.ts';
import { shownLines } from '../../cli/describe.ts';
import type { PlanLine } from '../../protocol/plan-as-seen.ts';

const SIGNS = { '+': ['gains', 'gains'], '-': ['loses', 'loses'], '=': ['stays', 'unchanged'] } as const;

/** Each line's text stands by itself in an element: what a browser computes again is compared with it. */
export function PlanLines({ change, only }: { change: ChangeView; only?: ReadonlySet<string> }) {
  const lines = shownLines(change).filter(({ name }) => only === undefined || only.has(name));
  return (
    <dl class="plan">
      {grouped(lines).map(({ name, group }) => (
        <div>
          <dt>{name === '' ? ' ' : name}</dt>
          {group.map((line) => <dd class={line.sign === undefined ? undefined : SIGNS[line.sign][0]}><Sign line={line} /><span data-line>{line.text}</span></dd>)}
        </div>
      ))}
    </dl>
  );
}

function Sign({ line: { sign } }: { line: PlanLine }) {
  return sign === undefined ? null : <span class="sign"><span aria-hidden="true">{sign === '-' ? '−' : sign}</span><span class="hidden">{SIGNS[sign][1]}: </span></span>;
}

/** Lines of one name, and those without one that follow, stand together. */
function grouped(lines: readonly PlanLine[]): { name: string; group: PlanLine[] }[] {
  const groups: { name: string; group: PlanLine[] }[] = [];
  for (const line of lines) {
    const last = groups.at(-1);
    if (last !== undefined && (line.name === '' || line.name === last.name)) last.group.push(line);
    else groups.push({ name: line.name, group: [line] });
  }
  return groups;
}
