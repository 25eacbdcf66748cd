/**
 * A sign-in that is under way is kept by the browser that began it, sealed, and not by this process: however many are begun, nothing is kept of them here, and
 * none makes another's be forgotten. The key is this process's own and is nowhere else.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { z } from 'zod';

const IV_BYTES = 12;
const TAG_BYTES = 16;
/** A cookie holds 4 KiB, name and all. */
const THEN_MAX = 1_024;

const begunSchema = z.strictObject({ state: z.string(), nonce: z.string(), verifier: z.string(), then: z.string(), untilMs: z.int() });
/** What the answer of the provider will be held to, and where she goes then. */
export type Begun = z.infer<typeof begunSchema>;

export interface BegunSignIns {
  seal(begun: Begun): string;
  /** null for what was not sealed here, and for what is too old. */
  open(sealed: string | undefined): Begun | null;
}

export function begunSignIns(nowMs: () => number, random: (length: number) => Uint8Array): BegunSignIns {
  const key = random(32);
  return {
    seal(begun) {
      const iv = random(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, iv);
      const text = JSON.stringify(begun.then.length > THEN_MAX ? { ...begun, then: '/' } : begun);
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url');
    },
    open(sealed) {
      const bytes = Buffer.from(sealed ?? '', 'base64url');
      if (bytes.length <= IV_BYTES + TAG_BYTES) return null;
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
        decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
        const begun = begunSchema.parse(JSON.parse(Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8')));
        return nowMs() < begun.untilMs ? begun : null;
      } catch {
        return null;
      }
    },
  };
}
