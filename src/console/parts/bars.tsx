/** How much of what there is to hold is held and used: bars for the eye, with the numbers and names beside them in words. */
import { plain } from '../../protocol/plain.ts';

export interface Bar {
  readonly name: 'declared' | 'held' | 'leased' | 'used';
  /** null: nobody has looked. */
  readonly privileges: readonly string[] | null;
  /** Instead of names: what the list has no room for. */
  readonly unknown: string;
}

const WIDTH = 96;
const NAMES_MAX = 40;

/** Of one measure: the longest is as wide as there is room. `named`: which they are, as well as how many. */
export function Bars({ bars, named }: { bars: readonly Bar[]; named: boolean }) {
  const most = Math.max(1, ...bars.map(({ privileges }) => privileges?.length ?? 0));
  return (
    <dl class={named ? 'bars named' : 'bars'}>
      {bars.map(({ name, privileges, unknown }) => (
        <div>
          <dt>{name}</dt>
          <dd>
            <svg class={`bar ${name}`} width={WIDTH} height="10" viewBox={`0 0 ${WIDTH} 10`} aria-hidden="true" focusable="false">
              <rect class="track" x="0" y="4" width={WIDTH} height="2" rx="1" />
              {privileges === null ? null : <rect class="value" x="0" y="1" width={Math.round((WIDTH * privileges.length) / most)} height="8" rx="2" />}
            </svg>
            <span class="count">{privileges === null ? unknown : privileges.length}</span>
            {named && privileges !== null && privileges.length > 0 ? <span class="id">{privileges.slice(0, NAMES_MAX).map(plain).join(', ')}{privileges.length > NAMES_MAX ? `, and ${privileges.length - NAMES_MAX} more` : ''}</span> : null}
          </dd>
        </div>
      ))}
    </dl>
  );
}
