/** A sidecar that is started while its ledger is being restored, or adopted by a new log, at whatever moment: it is kept out, and what is restored is whole. */
import { existsSync } from 'node:fs';
import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { directorySource, generateSignerKey, logIdOf, nodeDisk, parseSigner, parseVerifier, type LedgerSource, type Signer } from '../../ledger/index.ts';
import { adoptLedger } from '../../src/sidecar/adopt.ts';
import { restoreLedger, type Restored } from '../../src/sidecar/restore.ts';
import { startSidecar, type Sidecar } from '../../src/sidecar/start.ts';
import { EXECUTOR_ID, makeInstallation, type Installation } from '../support/installation.ts';
import { scriptedExecutor } from '../support/scripted-executor.ts';

let installation: Installation;
let signer: Signer;
beforeEach(async () => {
  installation = await makeInstallation();
  signer = parseSigner((await readFile((await installation.config()).keys.log, 'utf8')).trim());
});
afterEach(() => installation.remove());

const at = (path: string): string => join(installation.directory, path);
const start = async (): Promise<Sidecar> => startSidecar(await installation.config(), { transport: scriptedExecutor(EXECUTOR_ID, installation.executorSigner, () => Date.now()) });
/** A copy of a ledger with some records, of which the ledger itself has lost all. */
const lost = async (): Promise<LedgerSource> => {
  const sidecar = await start();
  await sidecar.log.sync();
  await sidecar.close();
  await cp(at('data/ledger'), at('copy/ledger'), { recursive: true });
  for (const part of ['ledger', 'journal']) await rm(at(`data/${part}`), { recursive: true });
  return (await directorySource(nodeDisk(at('copy')), 'ledger', 'the copy'))!;
};
const restore = async (source: LedgerSource, nowMs: () => number): Promise<Restored> =>
  restoreLedger({ origin: (await installation.config()).origin, data: at('data'), signer, sources: [source], known: [], nowMs });

it('while it is read from the copy', async () => {
  const source = await lost();
  const tried: unknown[] = [];
  const done = await restore({
    ...source,
    async *parts() {
      tried.push(await start().then((sidecar) => sidecar.close(), (error: unknown) => error));
      yield* source.parts();
    },
  }, () => Date.now());
  expect(tried).toMatchObject([{ code: 'locked' }]);
  expect(done).toMatchObject({ restored: true, size: Number(source.checkpoint.split('\n')[1]) });
});

it('while a new log is made that adopts it', async () => {
  const source = await lost();
  const config = await installation.config();
  const tried: unknown[] = [];
  const made = await adoptLedger({
    origin: `${config.origin}/next`, data: at('data'), signer: parseSigner(generateSignerKey(`${config.origin}/next`, new Uint8Array(32).fill(9)).skey), old: parseVerifier(signer.vkey),
    ticketSigner: parseSigner((await readFile(config.keys.ticket, 'utf8')).trim()), known: [], keyLost: true, nowMs: () => Date.now(),
    sources: [{
      ...source,
      async *parts() {
        tried.push(await start().then((sidecar) => sidecar.close(), (error: unknown) => error));
        yield* source.parts();
      },
    }],
  });
  expect(tried).toMatchObject([{ code: 'locked' }]);
  expect(made.size).toBe(Number(source.checkpoint.split('\n')[1]));
});

it('while it is moved to its place', async () => {
  const source = await lost();
  const tried: Promise<unknown>[] = [];
  const config = await installation.config();
  const done = await restore(source, () => {
    // Whole, and about to be moved: the last of these is just before.
    if (existsSync(at('data/.restore/ledger/checkpoint'))) tried.push(nodeDisk(config.data).lock('data.lock').then((release) => release(), (error: unknown) => error));
    return Date.now();
  });
  expect(tried.length).toBeGreaterThan(0);
  for (const one of tried) expect(await one).toMatchObject({ code: 'locked' });
  expect(done.restored).toBe(true);
  const sidecar = await start();
  expect([sidecar.log.logId, sidecar.log.size > done.size]).toEqual([logIdOf(config.origin), true]);
  await sidecar.close();
});

it('and a ledger is not restored beneath a sidecar that runs, nor beneath one whose ledger is not open yet', async () => {
  const source = await lost();
  const release = await nodeDisk(at('data')).lock('data.lock');
  await expect(restore(source, () => Date.now())).rejects.toMatchObject({ code: 'locked' });
  await release();
  const sidecar = await start();
  await expect(restore(source, () => Date.now())).rejects.toMatchObject({ code: 'locked' });
  await sidecar.close();
});
