/**
 * Who is signed in: kept in this process alone, so that no cookie holds a token and a stolen disk has none. A restart signs everybody out; what
 * was typed stays in the browser.
 */
import type { Me } from '../client/index.ts';

export interface Session {
  readonly id: string;
  /** Hers, for the sidecars; it never leaves this process but to them. */
  readonly token: string;
  /** What each of her forms carries, so that no other page can make one. */
  readonly formKey: string;
  readonly endsAtMs: number;
  /** Who she is to each sidecar that has said so. */
  readonly me: Map<string, Me>;
  /** Told on the next page that she sees. */
  said: Said | null;
}

export interface Said {
  readonly how: 'good' | 'bad' | 'open';
  readonly text: string;
}

export interface Sessions {
  /** A new one, under a new id, which is not kept yet. `tokenEndsAtMs`: when her token ends; null where nobody has said. */
  make(token: string, tokenEndsAtMs: number | null): Session;
  /** It is kept from now on; where there are too many, those that were used least recently are not any more. */
  begin(session: Session): void;
  /** null for none, and for one that is over. `uses`: it is she who asks, and not a page that is left open. */
  find(id: string | undefined, uses: boolean): Session | null;
  end(id: string): void;
}

export interface SessionTimes {
  readonly idleSeconds: number;
  readonly lifetimeSeconds: number;
}

const SESSIONS_MAX = 10_000;

export function openSessions({ idleSeconds, lifetimeSeconds }: SessionTimes, nowMs: () => number, random: (length: number) => Uint8Array): Sessions {
  /** By id, least recently used first. */
  const all = new Map<string, { readonly session: Session; usedAtMs: number }>();
  const secret = (): string => Buffer.from(random(32)).toString('base64url');
  const isOver = ({ session, usedAtMs }: { session: Session; usedAtMs: number }): boolean => nowMs() >= Math.min(session.endsAtMs, usedAtMs + idleSeconds * 1000);
  return {
    make: (token, tokenEndsAtMs) => ({ id: secret(), token, formKey: secret(), endsAtMs: Math.min(nowMs() + lifetimeSeconds * 1000, tokenEndsAtMs ?? Infinity), me: new Map(), said: null }),
    begin(session) {
      for (const [id, one] of all) if (isOver(one) || all.size >= SESSIONS_MAX) all.delete(id);
      all.set(session.id, { session, usedAtMs: nowMs() });
    },
    find(id, uses) {
      const found = id === undefined ? undefined : all.get(id);
      if (found === undefined) return null;
      if (isOver(found)) {
        all.delete(found.session.id);
        return null;
      }
      if (uses) {
        found.usedAtMs = nowMs();
        all.delete(found.session.id);
        all.set(found.session.id, found);
      }
      return found.session;
    },
    end: (id) => void all.delete(id),
  };
}
