/** Asking sidecars in somebody's name: one that does not answer is named, and keeps the others from nothing. */
import { ClientError, type Client, type Me } from '../client/index.ts';
import type { ConsoleContext, Place } from './context.ts';
import type { Session } from './sessions.ts';

export type Asked<T> = { readonly place: Place; readonly value: T } | { readonly place: Place; readonly trouble: Trouble };

export interface Trouble {
  /** Her token counts no more there. */
  readonly isOver: boolean;
  readonly text: string;
}

/** Asks all at once. Never rejects for what a sidecar does, or does not do. */
export function askAll<T>(context: ConsoleContext, session: Session, question: (client: Client, me: Me, place: Place) => Promise<T>): Promise<Asked<T>[]> {
  return Promise.all(context.places.map(async (place) => {
    try {
      const client = place.open(session.token);
      return { place, value: await question(client, await whoIs(session, place, client), place) };
    } catch (error) {
      return { place, trouble: troubleOf(error, place) };
    }
  }));
}

/** Who she is to this sidecar: asked once in a session, since a token stays whose it is. */
export async function whoIs(session: Session, place: Place, client: Client): Promise<Me> {
  const me = session.me.get(place.name) ?? (await client.me());
  session.me.set(place.name, me);
  return me;
}

const NOT_FOR_HER: ReadonlySet<string> = new Set(['not-allowed', 'role-required', 'no-such-connector', 'erased']);

/** What is asked beside the rest: null where it is not there, or not for her to see. */
export async function orNull<T>(asked: Promise<T>): Promise<T | null> {
  return asked.catch((error: unknown) => {
    if (error instanceof ClientError && NOT_FOR_HER.has(error.code)) return null;
    throw error;
  });
}

/** Whether nobody takes her token any more: she must sign in again. */
export function isSignedOut(asked: readonly Asked<unknown>[]): boolean {
  return asked.some((one) => 'trouble' in one && one.trouble.isOver) && asked.every((one) => 'trouble' in one);
}

const SIGNED_OUT: ReadonlySet<string> = new Set(['unauthenticated', 'token-refused']);

/** @throws what is no sidecar's doing */
export function troubleOf(error: unknown, { name }: Place): Trouble {
  if (!(error instanceof ClientError)) throw error;
  if (SIGNED_OUT.has(error.code)) return { isOver: true, text: `Sidecar ${name} does not take your sign-in any more.` };
  if (error.code === 'token-not-mapped') return { isOver: false, text: `Sidecar ${name} does not know you.` };
  if (error.code === 'unreachable' || error.code === 'timed-out') return { isOver: false, text: `Sidecar ${name} does not answer. What is there is not shown, and goes on without this page.` };
  if (error.code === 'unexpected-answer') return { isOver: false, text: `Sidecar ${name} answered what this console does not understand. Nothing of it is shown.` };
  return { isOver: false, text: `Sidecar ${name}: ${error.message}` };
}
