/** The copy of a ledger on the bus, as something to restore it from. Read whole, twice, and believed for nothing. */
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { decodeRecord, LedgerError, type LedgerPart, type LedgerSource, type StoredObject } from '../../../ledger/index.ts';
import { objectPart, pages, STREAMS } from './bus-layout.ts';
import { endOfPage, PART_BYTES, readPage, type CopyPage } from './copy-page.ts';
import { lastMessage, nextMessage } from './ledger-copy.ts';

const ASK_MS = 10_000;

/**
 * Up to the newest checkpoint that is among the pages; null where there is none.
 *
 * @throws LedgerError `corrupt` for a message that is no page of this log
 */
export async function copySource(connection: NatsConnection, log: string): Promise<LedgerSource | null> {
  const manager = await jetstreamManager(connection, { timeout: ASK_MS });
  let newest: { readonly checkpoint: string; readonly size: number } | null = null;
  for await (const page of pagesOf(manager, log)) if (page.checkpoint !== null) newest = { checkpoint: page.checkpoint, size: endOfPage(page) };
  if (newest === null) return null;
  const { checkpoint, size } = newest;
  return { name: STREAMS.ledger, checkpoint, parts: () => partsOf(manager, log, size) };
}

async function* pagesOf(manager: JetStreamManager, log: string): AsyncGenerator<CopyPage> {
  for (let sequence = 1; ;) {
    const found = await nextMessage(manager, pages(log), sequence);
    if (found === null) return;
    const page = readPage(found.data, log);
    if (page === null) throw new LedgerError('corrupt', `message ${found.seq} of ${STREAMS.ledger} is no page of this log`);
    yield page;
    sequence = found.seq + 1;
  }
}

async function* partsOf(manager: JetStreamManager, log: string, size: number): AsyncGenerator<LedgerPart> {
  const placed = new Set<string>();
  for await (const page of pagesOf(manager, log)) {
    const lengths = new Map(page.objects.map(({ digest, length }) => [digest, length]));
    const entries = page.records.map((text) => Buffer.from(text, 'utf8'));
    const objects: StoredObject[] = [];
    for (const entry of entries) {
      for (const digest of namedBy(entry, page)) {
        const length = lengths.get(digest);
        if (placed.has(digest) || length === undefined) continue;
        placed.add(digest);
        objects.push(await objectOf(manager, log, digest, length));
      }
    }
    yield { entries, objects };
    if (endOfPage(page) >= size) return;
  }
}

function namedBy(entry: Uint8Array, { first }: CopyPage): readonly string[] {
  try {
    return decodeRecord(entry).objects;
  } catch (cause) {
    throw new LedgerError('corrupt', `the page of the copy that begins with record ${first} holds something that is no record`, { seq: first, cause });
  }
}

/** What is there of an object. One of which nothing is there was erased: a record must say so. */
async function objectOf(manager: JetStreamManager, log: string, digest: string, length: number): Promise<StoredObject> {
  const parts: Uint8Array[] = [];
  for (let part = 0; part * PART_BYTES < length; part += 1) {
    const found = await lastMessage(manager, objectPart(log, digest, part));
    if (found === null) break;
    parts.push(found.data);
  }
  return parts.length === 0 ? { digest, erased: true, payload: new Uint8Array(length) } : { digest, erased: false, payload: Buffer.concat(parts) };
}
