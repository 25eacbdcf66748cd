/** TIME and the quorum: who may say until when, and who only that it was not so. */
import { describe, expect, it } from 'vitest';
import { formatSignatureLine, generateSignerKey, parseCosigner, parseTrustPolicy, readCheckpoint, sha256, type Cosigner, type Verification } from '../../ledger/index.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { AT_MS, fill, signer, verdict, verify } from './ledger-fixture.ts';

const cosigner = (name: string): Cosigner => parseCosigner(generateSignerKey(`${name}.test`, sha256(Buffer.from(name)), 4).skey);
const [first, second] = [cosigner('first'), cosigner('second')];
const trust = parseTrustPolicy(`log ${signer.vkey}\nwitness first ${first.vkey}\nwitness second ${second.vkey}\ngroup both all first second\nquorum both\n`);

/** Five records whose checkpoint these witnesses have cosigned so many seconds after the first of them. */
async function cosigned(...by: readonly (readonly [Cosigner, number])[]): Promise<Verification> {
  const disk = new FaultyDisk();
  await fill(disk, 5);
  const note = disk.files.get('ledger/checkpoint')!.toString();
  const lines = by.map(([witness, seconds]) => formatSignatureLine(witness.keyName, witness.cosign(readCheckpoint(note).text, Math.floor(AT_MS / 1000) + seconds)));
  disk.files.set('ledger/checkpoint', Buffer.from(note + lines.join('')));
  return verify(disk, { trust });
}

describe('where two witnesses are asked for', () => {
  it('a time that both have stated bounds the records', async () => {
    const verification = await cosigned([first, 60], [second, 61]);
    expect([verdict(verification, 'WITNESS').status, verdict(verification, 'TIME').status]).toEqual(['holds', 'holds']);
  });

  it('one of them bounds nothing: it may be whoever has stolen one key', async () => {
    const verification = await cosigned([first, 60]);
    expect([verdict(verification, 'WITNESS').status, verdict(verification, 'TIME').status]).toEqual(['fails', 'notEstablished']);
  });

  it('one of them is enough to say that a record is dated later than it was there', async () => {
    expect(verdict(await cosigned([first, -600]), 'TIME')).toMatchObject({ status: 'fails', seq: 0 });
  });
});
