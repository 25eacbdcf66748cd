/** What is done about a change: one request to its sidecar in her name, and what came of it. */
import type { Context } from 'hono';
import type { z } from 'zod';
import { ClientError, type BreakGlassReviewBody, type Client } from '../../client/index.ts';
import { NotSent as NothingSent } from '../../client/wire.ts';
import { breakGlassReviewBodySchema, passkeyProofSchema } from '../../sidecar/schemas.ts';
import type { ConsoleApp, ConsoleContext, ConsoleEnv } from '../context.ts';
import { ownPath } from '../edge.ts';
import { deed, signInAgain, type Form } from '../gate.tsx';
import { changePath } from '../parts/small.tsx';
import type { Said, Session } from '../sessions.ts';
import { changeNamed, showChange, type Telling } from './change.tsx';

const { signed: signedSchema } = breakGlassReviewBodySchema.shape;
const reviewSchema = breakGlassReviewBodySchema.omit({ signed: true });

type Deed = (client: Client, id: string, form: Form, comment: string | undefined) => Promise<string>;

/** What cannot be sent as it was typed; nothing was. */
export class NotSent extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotSent';
  }
}

const DEEDS: Readonly<Record<string, Deed>> = {
  async approve(client, id, { planDigest = '', passkey = '', by }, comment) {
    if (by === 'passkey' && passkey === '') throw new NotSent('No passkey has answered: that needs JavaScript.');
    const { state } = await client.approve(id, planDigest, comment, passkey === '' ? undefined : { passkey: readProof(passkeyProofSchema, passkey) });
    return `Approved. The change is ${state === 'pending' ? 'waiting for somebody else as well' : state}.`;
  },
  async reject(client, id, { planDigest = '' }, comment) {
    if (comment === undefined) throw new NotSent('A rejection says why.');
    const { state } = await client.reject(id, planDigest, comment);
    return `Rejected. The change is ${state}.`;
  },
  async reduce(client, id, { planDigest = '', without = '', duration = '' }) {
    const { entitlements } = await client.get(id);
    const left = without.split('\n').flatMap((index) => entitlements[Number(index === '' ? -1 : index)] ?? []);
    if (left.length === 0 && duration === '') throw new NotSent('Say what to leave out, or a shorter time.');
    const { revision } = await client.reduce(id, planDigest, { ...(left.length === 0 ? {} : { without: left }), ...(duration === '' ? {} : { duration }) });
    return `It asks for less now: revision ${revision}. Policy decides again, and then everybody who is asked, you too.`;
  },
  async review(client, id, { verdict = '', rotation = '', passkey = '', by }, comment) {
    if (by === 'passkey' && passkey === '') throw new NotSent('No passkey has answered: that needs JavaScript.');
    const said = reviewSchema.safeParse({ verdict, comment, ...(rotation === '' ? {} : { rotation }) });
    if (!said.success) throw new NotSent('A review says what it comes to, and what was found.');
    const signed: BreakGlassReviewBody['signed'] = passkey === '' ? undefined : readProof(signedSchema, passkey);
    await client.reviewBreakGlass(id, { ...said.data, ...(signed === undefined ? {} : { signed }) });
    return rotation === '' ? `Reviewed: ${said.data.verdict}.` : `Reviewed: ${said.data.verdict}; no rotation is needed.`;
  },
  async withdraw(client, id, _form, comment) {
    const { state } = await client.withdraw(id, comment);
    return `The change is ${state}.`;
  },
  async revoke(client, id, _form, comment) {
    const { recorded } = await client.revoke(id, comment);
    return recorded ? 'It is being taken back now.' : 'It is being taken back now. The ledger could not be written: the evidence follows from the executor.';
  },
};

export function addDecide(app: ConsoleApp, context: ConsoleContext): void {
  for (const [name, act] of Object.entries(DEEDS)) {
    app.post(`/changes/:place/:id/${name}`, deed(context, (c) => pageOf(c, context), (c, session, form) => perform(c, context, session, form, name, act)));
  }
}

function pageOf(c: Context<ConsoleEnv>, context: ConsoleContext): string {
  const named = changeNamed(c, context);
  return named === null ? '/' : changePath(named.place, named.id);
}

async function perform(c: Context<ConsoleEnv>, context: ConsoleContext, session: Session, form: Form, name: string, act: Deed): Promise<Response> {
  const named = changeNamed(c, context);
  if (named === null) return showChange(c, context, session);
  const written = form['comment']?.trim() ?? '';
  try {
    const text = await act(named.place.open(session.token), named.id, form, written === '' ? undefined : written);
    // A form on a list comes back to it, where the change is to be named.
    const { back } = form;
    session.said = { how: 'good', text: back === undefined ? text : `${named.id}: ${text}` };
    context.logger.info({ deed: name, change: named.id, place: named.place.name }, 'asked for, and done');
    return c.redirect(back === undefined ? changePath(named.place, named.id) : ownPath(back, context.publicUrl), 303);
  } catch (error) {
    if (error instanceof ClientError && (error.code === 'unauthenticated' || error.code === 'token-refused')) {
      context.sessions.end(session.id);
      return signInAgain(c, context, pageOf(c, context), written);
    }
    return showChange(c, context, session, { ...tellingOf(error), written: { deed: name, comment: written, verdict: form['verdict'], rotation: form['rotation'], planDigest: form['planDigest'], without: form['without'], duration: form['duration'] } });
  }
}

/** In the sidecar's words; who comes too late is told to what. @throws what is no refusal */
export function tellingOf(error: unknown): Omit<Telling, 'written'> {
  if (error instanceof NotSent) return { said: bad(error.message, ''), status: 422 };
  if (!(error instanceof ClientError)) throw error;
  // An answer that is none, or is cut short, and an error on the way back come after what was done as well.
  if (error.status === null || error.status >= 500 || error.code === 'unexpected-answer') return { said: bad(error.message, error.cause instanceof NothingSent ? 'Nothing was decided. What you typed is still here.' : 'It may have been taken all the same: look at what has happened before you try again.'), status: 502 };
  const now = (error.body as { change?: { state: string; revision: number; lastRecord: number } } | null)?.change;
  const since = now === undefined ? 'Nothing was decided.' : `By now the change is ${now.state}, revision ${now.revision}, record ${now.lastRecord}.`;
  return { said: bad([error.message, ...error.errors.map(({ detail }) => detail)].join(': '), since), status: error.status === 409 ? 409 : error.status === 403 ? 403 : 422 };
}

const bad = (message: string, since: string): Said => ({ how: 'bad', text: `${message.charAt(0).toUpperCase()}${message.slice(1)}. ${since}`.replaceAll(/\.\. /g, '. ').trim() });

/** Only its form: whether it holds, the sidecar says. */
export function readProof<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new NotSent('What the passkey answered cannot be read. Nothing was decided.');
  }
}
