/** Which access there was at a moment, by what was recorded until then. */
import type { Access, Facts, Taking } from './facts.ts';

export interface AccessThen {
  readonly access: Access;
  /** `maybe`: it was authorised, and nobody had said yet what came of it. */
  readonly is: 'there' | 'maybe';
  /** Those that no other change had taken until then. */
  readonly privileges: readonly string[];
  /** Its end as it was known then, and the record that states it; null: it stood. */
  readonly end: Access['ends'][number] | null;
  /** Changes that had taken some of it. */
  readonly takings: readonly Taking[];
}

export function accessAt({ accesses, takings }: Pick<Facts, 'accesses' | 'takings'>, atMs: number): AccessThen[] {
  const byPlace = new Map<string, Taking[]>();
  for (const taking of takings) {
    if (taking.atMs > atMs) continue;
    const place = placeOf(taking);
    if (!byPlace.has(place)) byPlace.set(place, []);
    byPlace.get(place)!.push(taking);
  }
  return accesses.flatMap((access) => {
    const { authorised, given, nothing, gone, ends } = access;
    if (authorised.atMs > atMs || isBy(gone?.atMs, atMs) || isBy(nothing?.atMs, atMs)) return [];
    const taken = (byPlace.get(placeOf(access)) ?? []).filter(({ seq, change }) => seq > (given ?? authorised).seq && change !== access.change);
    const privileges = access.privileges.filter((privilege) => !taken.some((taking) => taking.privileges === null || taking.privileges.includes(privilege)));
    if (privileges.length === 0) return [];
    return [{ access, is: isBy(given?.atMs, atMs) ? 'there' : 'maybe', privileges, end: ends.findLast((end) => end.atMs <= atMs) ?? null, takings: taken } as const];
  });
}

const isBy = (thenMs: number | undefined, atMs: number): boolean => thenMs !== undefined && thenMs <= atMs;
const placeOf = ({ connector, target, account }: Pick<Access, 'connector' | 'target' | 'account'>): string => `${connector}\n${target}\n${account}`;
