/** Facts in which exceptions and scopes under observe are those that people have granted, where they are asked. */
import type { Logger } from '../engine/ports.ts';
import { factsOf, type Facts } from '../facts/facts.ts';
import { grantedOnly, type Asking, type HeldEntry } from '../facts/granted.ts';
import { isAskedAt } from '../protocol/activation.ts';
import type { ExceptionFloor } from '../protocol/trust.ts';
import { parseTime } from '../protocol/values.ts';

export interface GrantedFacts {
  /** As of now: an entry whose signatures do not suffice, or whose keys have ended, is not in it. */
  current(): Facts;
  /** The entries that are not in force for want of signatures; null where nobody is asked. */
  held(): readonly HeldEntry[] | null;
}

/** Lines of the log, each time that the facts change. */
const WARNINGS_MAX = 20;

interface Looked {
  readonly of: Facts;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly held: readonly HeldEntry[];
  readonly facts: Facts;
}

/** @param timeMs as of when policy is asked (epoch ms): a key counts by that, as verifiers have it */
export function grantedFacts(facts: () => Facts, asked: readonly (ExceptionFloor | undefined)[], known: Pick<Asking, 'signers' | 'passkeys' | 'logId'>, timeMs: () => number, logger: Logger): GrantedFacts {
  const all = asked.filter((floor) => floor !== undefined);
  if (all.length === 0) return { current: facts, held: () => null };
  const boundaries = [...[...known.signers.values(), ...known.passkeys.values()].flatMap(({ validFromMs, validUntilMs }) => [validFromMs, validUntilMs]), ...all.map(({ from }) => (from === undefined ? -Infinity : parseTime(from)))];
  /** What these facts come to, from one time on and until a key begins or ends: signatures are not checked at every question. */
  let last: Looked | null = null;
  const look = (): Looked => {
    const [of, nowMs] = [facts(), timeMs()];
    if (last?.of === of && last.fromMs <= nowMs && nowMs < last.untilMs) return last;
    const untilMs = Math.min(...boundaries.filter((one) => one > nowMs));
    if (of.exceptions === null) return (last = { of, fromMs: nowMs, untilMs, held: [], facts: of });
    const { file, held } = grantedOnly(of.exceptions, of.value, { floors: all.filter((floor) => isAskedAt(floor, nowMs)), ...known, atMs: [nowMs] });
    for (const { id, kind, lacks } of held.slice(0, WARNINGS_MAX)) logger.warn({ code: 'not-granted', about: id, kind }, `facts: ${id} is not in force: ${lacks}`);
    if (held.length > WARNINGS_MAX) logger.warn({ count: held.length - WARNINGS_MAX }, 'facts: more of the same');
    const isWhole = file.exceptions.length === of.exceptions.exceptions.length && file.observe?.length === of.exceptions.observe?.length;
    return (last = { of, fromMs: nowMs, untilMs, held, facts: isWhole ? of : factsOf({ ...of.value, exceptions: file }, of.loadedAtMs) });
  };
  return { current: () => look().facts, held: () => look().held };
}
