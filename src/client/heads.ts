/** The newest checkpoint of each log that runs of this caller have believed, in a file: a log that was rolled back or forked is noticed by the next run. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { logIdSchema } from '../protocol/values.ts';

const headsSchema = z.record(logIdSchema, z.strictObject({ size: z.int().min(0), root: z.base64().length(44) }));
export type Heads = z.infer<typeof headsSchema>;

/** @throws Error for a file that is there and is not one of these: what it remembered cannot be ignored */
export async function readHeads(path: string): Promise<Heads> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
  const parsed = headsSchema.safeParse(parseJson(text));
  if (!parsed.success) throw new Error(`${path} does not hold the checkpoints that were seen: look at it before you remove it`);
  return parsed.data;
}

/** The file holds `head` for `log`, unless it holds a newer one already. */
export async function keepHead(path: string, log: string, head: Heads[string]): Promise<void> {
  const heads = await readHeads(path);
  if ((heads[log]?.size ?? 0) > head.size) return;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${process.pid}.tmp`;
  await writeFile(next, `${JSON.stringify({ ...heads, [log]: head }, null, 2)}\n`, { mode: 0o600 });
  await rename(next, path);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
