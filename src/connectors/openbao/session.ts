/** What an operation says to the server, and what a failure of it means. */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import { parseAddress, pathOf } from './address.ts';
import type { OpenBaoAddress } from './address.ts';
import { NoAnswer, openWire } from '../../openbao/wire.ts';
import type { Answer } from '../../openbao/wire.ts';

/** Paths are relative to `/v1/` and escaped by {@link pathOf}. */
export interface Session {
  /** The mount of the connector's AppRoles, escaped. */
  readonly mount: string;
  /** What is there; null if nothing is. @throws TargetError `unreachable` or `rejected` */
  get<T>(path: string, schema: z.ZodType<T>): Promise<T | null>;
  /** The keys under the path. @throws TargetError `unreachable` or `rejected` */
  list(path: string): Promise<string[]>;
  /**
   * A question that is put by POST, or a write that gives nobody anything. Null if the server has nothing to say.
   * @throws TargetError `unreachable`: ask again; `rejected`
   */
  ask<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T | null>;
  /** Done. @throws TargetError `unreachable` or `rejected`: not done; `ambiguous`: it may have been */
  write(path: string, body: unknown): Promise<void>;
  /** As `write`; false where what was to be changed is not there. */
  writeIfThere(path: string, body: unknown): Promise<boolean>;
  /**
   * Something new that the server makes and answers with, as the whole answer says it.
   * @throws TargetError as of `write`; `ambiguous` also where the answer is not one of OpenBao: it was made, and nobody knows what
   */
  make<T>(method: 'GET' | 'POST', path: string, body: unknown, schema: z.ZodType<T>): Promise<T>;
  /** Done, or there was nothing to remove. @throws TargetError as of `write` */
  remove(path: string): Promise<void>;
  /** Whether a `write` or `remove` of this session has, or may have, changed something. */
  hasWritten(): boolean;
}

export interface SessionOptions {
  readonly address: OpenBaoAddress;
  readonly mount: string;
  /** What must not be in any error, beside the token. */
  readonly secrets: readonly string[];
}

/** What `use` gives, with connections that are closed after it. @throws TargetError */
export async function withSession<T>(options: SessionOptions, signal: AbortSignal, use: (session: Session) => Promise<T>): Promise<T> {
  const { address } = options;
  const token = await tokenOf(address);
  const secrets = [...options.secrets, token];
  const wire = openWire(parseAddress(address), address.ca);
  const headers = {
    'x-vault-token': token, 'x-vault-request': 'true',
    ...(address.namespace === undefined ? {} : { 'x-vault-namespace': address.namespace }),
  };
  let written = false;

  const send = async (method: 'GET' | 'POST' | 'DELETE', path: string, body: unknown, purpose: 'ask' | 'change'): Promise<Answer | null> => {
    let answer: Answer;
    try {
      answer = await wire.send(method, `/v1/${path}`, headers, body, signal);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      const mayBeDone = purpose === 'change' && error.sent;
      written ||= mayBeDone;
      throw new TargetError(mayBeDone ? 'ambiguous' : 'unreachable', redact(mayBeDone ? `no answer to a change that was sent: ${error.message}` : `no answer: ${error.message}`, secrets));
    }
    const kind = kindOf(answer, purpose);
    if (kind === 'ok') {
      written ||= purpose === 'change';
      return answer;
    }
    if (kind === 'nothing') return null;
    written ||= kind === 'ambiguous';
    throw new TargetError(kind, redact(`HTTP ${String(answer.status)}: ${errorsOf(answer).join('; ')}`, secrets));
  };

  try {
    return await use({
      mount: pathOf(options.mount),
      get: async (path, schema) => dataOf(await send('GET', path, undefined, 'ask'), schema),
      async list(path) {
        return dataOf(await send('GET', `${path}?list=true`, undefined, 'ask'), keysSchema)?.keys ?? [];
      },
      ask: async (path, body, schema) => dataOf(await send('POST', path, body, 'ask'), schema),
      async write(path, body) {
        if ((await send('POST', path, body, 'change')) === null) throw new TargetError('rejected', 'HTTP 404: what was to be changed is not there');
      },
      writeIfThere: async (path, body) => (await send('POST', path, body, 'change')) !== null,
      async make(method, path, body, schema) {
        const answer = await send(method, path, body, 'change');
        if (answer === null) throw new TargetError('rejected', 'HTTP 404: there is nothing of that name to make it with');
        const parsed = schema.safeParse(answer.body);
        if (!parsed.success) throw new TargetError('ambiguous', 'made, and the answer is not one of OpenBao');
        return parsed.data;
      },
      async remove(path) {
        await send('DELETE', path, undefined, 'change');
      },
      hasWritten: () => written,
    });
  } finally {
    wire.close();
  }
}

/** @throws TargetError `unreachable`: a token that is not there now may be written in a moment */
async function tokenOf({ token }: OpenBaoAddress): Promise<string> {
  let text: string;
  try {
    text = await token();
  } catch (error) {
    throw new TargetError('unreachable', `the token could not be read: ${error instanceof Error ? error.message : ''}`);
  }
  // Anything else cannot be sent, and the refusal could quote it.
  if (!/^[!-~]+$/.test(text)) throw new TargetError('unreachable', 'the token file does not hold a token');
  return text;
}

const keysSchema = z.object({ keys: z.array(z.string()) });
const errorsSchema = z.object({ errors: z.array(z.string()).nullable() });
const errorDataSchema = z.object({ data: z.object({ error: z.string() }) });

/**
 * A server that is sealed, a standby or overloaded says so and has done nothing. Any other fault of its own may have come halfway.
 * An accessor of nothing is said by 400 and a text, in OpenBao and in Vault.
 */
function kindOf(answer: Answer, purpose: 'ask' | 'change'): 'ok' | 'nothing' | 'unreachable' | 'rejected' | 'ambiguous' {
  const { status } = answer;
  if (status >= 200 && status < 300) return 'ok';
  if (status === 404) return 'nothing';
  if (errorsOf(answer).some((error) => error.includes('invalid accessor'))) return 'nothing';
  if (status === 429 || status === 503 || (status >= 300 && status < 400)) return 'unreachable';
  if (status >= 400 && status < 500) return 'rejected';
  return purpose === 'ask' ? 'unreachable' : 'ambiguous';
}

function errorsOf({ status, body }: Answer): string[] {
  const errors = errorsSchema.safeParse(body).data?.errors ?? [];
  const detail = errorDataSchema.safeParse(body).data?.data.error;
  const all = detail === undefined ? errors : [...errors, detail];
  return all.length > 0 ? all : [status >= 300 && status < 400 ? 'it points to another server, as a standby does' : 'no reason given'];
}

/** What the answer holds. @throws TargetError `rejected` where it is not what OpenBao answers: another program may be listening there */
function dataOf<T>(answer: Answer | null, schema: z.ZodType<T>): T | null {
  if (answer === null || answer.status === 204) return null;
  const parsed = z.object({ data: schema }).safeParse(answer.body);
  // What was wrong with it is not repeated: it could be a secret.
  if (!parsed.success) throw new TargetError('rejected', 'the answer is not one of OpenBao');
  return parsed.data.data;
}

function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret !== '') clean = clean.replaceAll(secret, '[redacted]');
  // A server's message is shown in terminals and kept in evidence.
  return clean.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/gu, ' ').slice(0, 300);
}
