/**
 * What a ledger on disk says is held, for taking it back while the sidecar is dead. Nothing is verified: an order to revoke what was never
 * given does no harm, an order that is not sent may. So what cannot be read is counted and passed over.
 */
import { bundlePath, decodeRecord, objectReader, readCheckpoint, TILE_WIDTH, type Disk, type LedgerRecord } from '../../ledger/index.ts';
import { leaseIdOf } from '../change/derive.ts';
import { changeEventBodies } from '../change/events.ts';
import { readPayload } from '../protocol/dsse.ts';
import { isUndoable } from '../protocol/plan.ts';
import { ticketSchema, type RevokeOrder } from '../protocol/signed.ts';
import { adoptedRecord, readPart } from './adoption.ts';
import type { ReadObject } from './record.ts';

/** Everything of the order that takes it back, but for when, why and by whom. */
export type OrderTemplate = Omit<RevokeOrder, 'notBefore' | 'cause' | 'orderedBy'>;

export interface Held {
  readonly changeId: string;
  readonly subject: string;
  readonly order: OrderTemplate;
}

export interface HeldReading {
  /** In the order in which it was authorised. */
  readonly held: readonly Held[];
  readonly records: number;
  /** Records that could not be read. */
  readonly unreadable: number;
}

/** @param directory the folder that holds `checkpoint` and `tile/` */
export async function readHeld(disk: Disk, directory: string): Promise<HeldReading> {
  const subjects = new Map<string, string>();
  const held = new Map<string, Held>();
  const { records, unreadable } = await readEvery(disk, directory, (record) => takeHeld(record, subjects, held));
  return { held: [...held.values()], records, unreadable };
}

/** Shows `take` every record that can be read, oldest first, and before one that adopts a change, that change's own. One that it throws at counts as one that could not be. */
export async function readEvery(disk: Disk, directory: string, take: (record: LedgerRecord) => void): Promise<Pick<HeldReading, 'records' | 'unreadable'>> {
  let unreadable = 0;
  let records = 0;
  const size = await sizeOf(disk, directory);
  const readObject = objectReader(disk, directory);
  for (let index = 0; index * TILE_WIDTH < size; index += 1) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const bytes = await disk.read(`${directory}/${width === TILE_WIDTH ? bundlePath(index) : bundlePath(index, width)}`);
    const entries = entriesOf(bytes ?? new Uint8Array());
    unreadable += Math.max(0, width - entries.length);
    for (const entry of entries) {
      try {
        const record = decodeRecord(entry);
        if (record.type === 'change.adopted') unreadable += await takeAdopted(record, readObject, take);
        take(record);
        records += 1;
      } catch {
        unreadable += 1;
      }
    }
  }
  return { records, unreadable };
}

/** Shows `take` what the record adopts. @returns how many records, or whole parts, could not be read; @throws where it does not say what it adopts */
async function takeAdopted(adopting: LedgerRecord, readObject: ReadObject, take: (record: LedgerRecord) => void): Promise<number> {
  let unreadable = 0;
  for (const digest of changeEventBodies['change.adopted'].parse(adopting.body).parts) {
    const { log, records } = await readPart(adopting, digest, readObject).catch(() => ({ log: '', records: [] }));
    if (records.length === 0) unreadable += 1;
    for (const entry of records) {
      try {
        take(adoptedRecord(adopting.seq, log, entry).record);
      } catch {
        unreadable += 1;
      }
    }
  }
  return unreadable;
}

async function sizeOf(disk: Disk, directory: string): Promise<number> {
  const bytes = await disk.read(`${directory}/checkpoint`);
  return bytes === null ? 0 : readCheckpoint(Buffer.from(bytes).toString('utf8')).size;
}

/** The entries of a bundle (u16be length ‖ bytes, again and again) up to where it is cut. */
function entriesOf(bytes: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let at = 0; at + 2 <= bytes.byteLength;) {
    const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!;
    if (end > bytes.byteLength) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

/** Brings both maps up to the record. @throws whatever keeps its body from being read */
export function takeHeld(record: LedgerRecord, subjects: Map<string, string>, held: Map<string, Held>): void {
  const { change, type, body } = record;
  if (change === null) return;
  if (type === 'change.requested') subjects.set(change, changeEventBodies['change.requested'].parse(body).request.subject);
  if (type === 'lease.ended') held.delete(change);
  if (type !== 'step.authorised') return;
  const authorised = changeEventBodies['step.authorised'].parse(body);
  if (authorised.kind !== 'act') return;
  const ticket = readPayload(authorised.ticket, ticketSchema);
  if (ticket.kind !== 'act') return;
  const { connector, target, account, privileges, clientToken, action } = ticket.step;
  if (!isUndoable(action)) return;
  held.set(change, {
    changeId: change,
    subject: subjects.get(change) ?? '',
    order: {
      v: 1, log: ticket.log, changeId: change, leaseId: leaseIdOf(change), epoch: authorised.lease?.epoch ?? 1, audience: ticket.audience, action, connector, target,
      account, privileges, clientToken,
    },
  });
}
