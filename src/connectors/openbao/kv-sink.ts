/**
 * A key-value store (version 2) of OpenBao 2 or Vault, as a sink: who uses a credential reads it at a path of its own.
 *
 * What is kept there is `{secret, subject, change}`: the identity that it is for, and the client token of the change that made it. Anything else that is
 * found at a path is somebody else's, and is not written over.
 */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import type { Place, Sink } from '../../executor/sink.ts';
import { parseAddress, pathOf, type OpenBaoAddress } from './address.ts';
import { withSession, type Session } from './session.ts';

export interface OpenBaoKvOptions {
  readonly connection: OpenBaoAddress;
  /** Where the store is mounted. */
  readonly mount: string;
  /** Nothing is kept outside it. */
  readonly prefix?: string;
}

/** A sink in one store. Nothing is opened before a method is called, and nothing stays open after it. @throws RangeError on a malformed address, mount or prefix */
export function openbaoKvSink({ connection: address, mount, prefix }: OpenBaoKvOptions): Sink {
  parseAddress(address);
  const under = prefix === undefined ? '' : `${pathOf(prefix)}/`;
  pathOf(mount);
  const inStore = <T>(place: Place, signal: AbortSignal, use: (store: Store) => Promise<T>, secrets: readonly string[] = []): Promise<T> =>
    withSession({ address, mount, secrets }, signal, (session) => use(storeAt(session, `${under}${pathOf(place.path)}`, place)));

  return {
    stage: (place, secret, signal) => inStore(place, signal, async (store) => {
      const { kept } = await store.now();
      if (kept !== null && kept.subject !== place.subject) throw new TargetError('rejected', 'something else is kept at that path');
      await store.stage(secret);
    }, [secret]),

    publish: (place, signal) => inStore(place, signal, async (store) => {
      const staged = await store.staged();
      const { kept, version } = await store.now();
      if (kept?.change !== place.clientToken) {
        if (staged === null) throw new TargetError('unreachable', 'what was staged is not there any more');
        await store.write(staged, version);
      }
      await store.unstage();
    }),

    withdraw: (place, signal) => inStore(place, signal, async (store) => {
      await store.unstage();
      const { kept, version } = await store.now();
      if (kept?.change !== place.clientToken) return;
      const before = await store.at(version - 1);
      if (before === null) await store.remove();
      else await store.write(before, version);
    }),
  };
}

const keptSchema = z.object({ secret: z.string(), subject: z.string(), change: z.string() });
type Kept = z.infer<typeof keptSchema>;

/** One path, and the place beside it where nobody looks. */
interface Store {
  /** What is found there now, null for nothing, and its version. @throws TargetError `rejected` for what is not ours */
  now(): Promise<{ readonly kept: Kept | null; readonly version: number }>;
  /** What was found there at that version; null where it is gone, or was not ours. */
  at(version: number): Promise<Kept | null>;
  staged(): Promise<Kept | null>;
  stage(secret: string): Promise<void>;
  unstage(): Promise<void>;
  /** Only where `after` is the newest version. @throws TargetError */
  write(kept: Kept, after: number): Promise<void>;
  /** The newest version is not found any more. */
  remove(): Promise<void>;
}

function storeAt(session: Session, path: string, { subject, clientToken }: Place): Store {
  const data = `${session.mount}/data/${path}`;
  // No path of a recipient has a part that begins with a dot.
  const aside = `${path}/.staged/${clientToken}`;
  const read = async (at: string): Promise<Kept | null | 'not ours'> => {
    const answer = await session.get(at, z.object({ data: z.record(z.string(), z.json()).nullable() }));
    if (answer === null || answer.data === null) return null;
    return keptSchema.safeParse(answer.data).data ?? 'not ours';
  };
  return {
    async now() {
      const metadata = await session.get(`${session.mount}/metadata/${path}`, z.object({ current_version: z.number() }));
      const kept = await read(data);
      if (kept === 'not ours') throw new TargetError('rejected', 'something else is kept at that path');
      return { kept, version: metadata?.current_version ?? 0 };
    },
    async at(version) {
      if (version < 1) return null;
      const kept = await read(`${data}?version=${String(version)}`);
      return kept === 'not ours' ? null : kept;
    },
    async staged() {
      const kept = await read(`${session.mount}/data/${aside}`);
      return kept === 'not ours' ? null : kept;
    },
    stage: (secret) => session.write(`${session.mount}/data/${aside}`, { data: { secret, subject, change: clientToken } }),
    unstage: () => session.remove(`${session.mount}/metadata/${aside}`),
    async write(kept, after) {
      try {
        await session.write(data, { data: { ...kept }, options: { cas: after } });
      } catch (error) {
        // Somebody wrote in between: it is looked at again.
        if (error instanceof TargetError && error.message.includes('check-and-set')) throw new TargetError('unreachable', 'something was written there in between');
        throw error;
      }
    },
    remove: () => session.remove(data),
  };
}
