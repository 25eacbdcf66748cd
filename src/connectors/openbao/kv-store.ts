/** The calls of a key-value store, version 2, that the sink makes: each write is after the version that was read, or not at all. */
import { z } from 'zod';
import { TargetError } from '../../executor/connector.ts';
import type { Session } from './session.ts';

/** What is at a path. */
export const keptSchema = z.object({ secret: z.string(), subject: z.string(), change: z.string() });
export type Kept = z.infer<typeof keptSchema>;
/** Where a change has its secret, whether it is there or may be, and the version of that path that was there before; 0 for none, or none that may come back. */
export const pointerSchema = z.object({ path: z.string(), isPublished: z.boolean(), before: z.int().min(0) });
export type Pointer = z.infer<typeof pointerSchema>;

export interface Newest<T> {
  /** Null where there is nothing, or nothing of ours. */
  readonly value: T | null;
  readonly isForeign: boolean;
  /** 0 where nothing ever was. */
  readonly version: number;
}

export interface Store {
  /** What is found there now. @throws TargetError */
  newest<T>(path: string, schema: z.ZodType<T>): Promise<Newest<T>>;
  /** What was found there at that version; null where it is gone, or is not ours. @throws TargetError */
  version<T>(path: string, version: number, schema: z.ZodType<T>): Promise<T | null>;
  /** Only where `after` is the newest version, 0 for none. @throws TargetError `unreachable` where it is not: it is looked at again */
  put(path: string, after: number, value: object): Promise<void>;
  /** The newest version is not found any more; earlier ones are kept. @throws TargetError */
  remove(path: string): Promise<void>;
  /** Nothing is left of it, nor of any version. @throws TargetError */
  erase(path: string): Promise<void>;
  /** How many versions are kept of the path; null where that may not be read. @throws TargetError */
  versionsKept(path: string): Promise<number | null>;
}

const answerSchema = z.object({ data: z.record(z.string(), z.json()).nullable(), metadata: z.object({ version: z.number() }) });
const metadataSchema = z.object({ current_version: z.number(), max_versions: z.number().optional() });

export function openStore(session: Session): Store {
  const { mount } = session;
  const metadata = (path: string): Promise<z.infer<typeof metadataSchema> | null> => session.get(`${mount}/metadata/${path}`, metadataSchema);
  return {
    async newest(path, schema) {
      const answer = await session.get(`${mount}/data/${path}`, answerSchema);
      // Of what was removed the server tells nothing here but that there is nothing.
      if (answer === null) {
        return { value: null, isForeign: false, version: (await metadata(path))?.current_version ?? 0 };
      }
      const { data, metadata: { version } } = answer;
      const value = data === null ? null : (schema.safeParse(data).data ?? null);
      return { value, isForeign: data !== null && value === null, version };
    },
    async version(path, version, schema) {
      const answer = await session.get(`${mount}/data/${path}?version=${String(version)}`, answerSchema);
      return answer === null || answer.data === null ? null : (schema.safeParse(answer.data).data ?? null);
    },
    async put(path, after, value) {
      try {
        await session.write(`${mount}/data/${path}`, { data: { ...value }, options: { cas: after } });
      } catch (error) {
        // Somebody wrote in between: it is looked at again.
        if (error instanceof TargetError && error.message.includes('check-and-set')) throw new TargetError('unreachable', 'something was written there in between');
        throw error;
      }
    },
    remove: (path) => session.remove(`${mount}/data/${path}`),
    erase: (path) => session.remove(`${mount}/metadata/${path}`),
    async versionsKept(path) {
      const own = (await metadata(path))?.max_versions ?? 0;
      if (own > 0) return own;
      const config = await session.get(`${mount}/config`, z.object({ max_versions: z.number() })).catch((error: unknown) => {
        if (error instanceof TargetError && error.kind === 'rejected') return null;
        throw error;
      });
      return config === null || config.max_versions === 0 ? null : config.max_versions;
    },
  };
}
