/** Secrets kept in a key-value store of a real OpenBao: found when they work, brought back when what came after them is taken back. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openbaoKvSink } from '../../src/connectors/openbao/kv-sink.ts';
import { openbaoKvConfigSchema } from '../../src/executor/config.ts';
import { openSink } from '../../src/executor/registry.ts';
import type { Place, Sink } from '../../src/executor/sink.ts';
import { harmingProxy, type Harm } from '../support/cut-proxy.ts';
import { fencesIn, textOf } from '../support/fences.ts';
import { holdingProxy } from '../support/holding-proxy.ts';
import { openbaoProgram, testOpenBao, type TestOpenBao } from '../support/openbao.ts';
import { deadline, newToken } from '../support/postgres-cases.ts';

const program = openbaoProgram();

describe.skipIf(program === null)('a key-value store of OpenBao as a sink', () => {
  let bao: TestOpenBao;
  let sink: Sink;
  let directory: string;
  beforeAll(async () => {
    bao = await testOpenBao(program!);
    directory = mkdtempSync(join(tmpdir(), 'countersign-bao-kv-'));
    // What the page says that it needs, and no more.
    await bao.call('POST', 'sys/policies/acl/countersign-kv', {
      policy: fencesIn(textOf('docs/connectors/openbao-issued.md')).find(({ language, text }) => language === 'hcl' && text.includes('secret/data/apps'))!.text,
    });
    const { auth } = await bao.call('POST', 'auth/token/create', { policies: ['countersign-kv'] });
    writeFileSync(join(directory, 'token'), auth!.client_token, { mode: 0o600 });
    sink = await openSink(openbaoKvConfigSchema.parse({ kind: 'openbao-kv', address: bao.address, tokenFile: join(directory, 'token'), allowHttp: true, prefix: 'apps' }));
  });
  afterAll(async () => {
    await bao.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const placeFor = (path: string, subject = 'nhi:prod/exporter'): Place => ({ path, subject, clientToken: newToken() });
  const found = async (path: string): Promise<unknown> => ((await bao.call('GET', `secret/data/apps/${path}`)).data['data'] as { secret?: string } | null | undefined)?.secret ?? null;

  test('a secret is found once it is published, under the prefix, and nothing is left beside it', async () => {
    const place = placeFor('team/exporter');
    await sink.stage(place, 'first', deadline());
    expect(await found('team/exporter')).toBeNull();
    await sink.publish(place, deadline());
    await sink.publish(place, deadline());
    expect(await found('team/exporter')).toBe('first');
    expect((await bao.call('LIST', 'secret/metadata/apps/team/exporter/.staged')).status).toBe(404);
    expect((await bao.call('GET', 'secret/metadata/apps/team/exporter')).data['current_version']).toBe(1);
  });

  test('one that is withdrawn gives way to the one before, or to nothing; one that was overtaken stays overtaken', async () => {
    const [old, next, last] = [placeFor('rotated'), placeFor('rotated'), placeFor('rotated')];
    for (const [place, secret] of [[old, 'old'], [next, 'next']] as const) {
      await sink.stage(place, secret, deadline());
      await sink.publish(place, deadline());
    }
    await sink.withdraw(next.clientToken, deadline());
    expect(await found('rotated')).toBe('old');
    await sink.withdraw(next.clientToken, deadline());
    expect(await found('rotated')).toBe('old');
    await sink.stage(last, 'last', deadline());
    await sink.publish(last, deadline());
    await sink.withdraw(old.clientToken, deadline());
    expect(await found('rotated')).toBe('last');
    const only = placeFor('only');
    await sink.stage(only, 'only', deadline());
    await sink.publish(only, deadline());
    await sink.withdraw(only.clientToken, deadline());
    expect(await found('only')).toBeNull();
    const again = placeFor('only');
    await sink.stage(again, 'again', deadline());
    await sink.publish(again, deadline());
    expect(await found('only')).toBe('again');
  });

  test('what somebody else keeps there is not written over: another identity’s, or nothing of ours at all', async () => {
    const mine = placeFor('shared');
    await sink.stage(mine, 'mine', deadline());
    await sink.publish(mine, deadline());
    await expect(sink.stage(placeFor('shared', 'nhi:prod/other'), 'theirs', deadline())).rejects.toMatchObject({ kind: 'rejected' });
    await bao.call('POST', 'secret/data/apps/foreign', { data: { password: 'by hand' } });
    await expect(sink.stage(placeFor('foreign'), 'mine', deadline())).rejects.toMatchObject({ kind: 'rejected' });
    expect(await found('shared')).toBe('mine');
  });

  const put = async (place: Place, secret: string, into = sink): Promise<Place> => {
    await into.stage(place, secret, deadline());
    await into.publish(place, deadline());
    return place;
  };
  const withdraw = (place: Place, from = sink): Promise<void> => from.withdraw(place.clientToken, deadline());
  /** Another worker's: it has nothing but the configuration. */
  const another = (): Promise<Sink> => openSink(openbaoKvConfigSchema.parse({ kind: 'openbao-kv', address: bao.address, tokenFile: join(directory, 'token'), allowHttp: true, prefix: 'apps' }));
  const left = async (): Promise<readonly unknown[]> => ((await bao.call('LIST', 'secret/metadata/apps/.changes')).data['keys'] as string[] | undefined) ?? [];

  test('is withdrawn by whoever knows its client token alone, staged or published, and nothing is left of it', async () => {
    const leftBefore = await left();
    const old = await put(placeFor('by-token'), 'old');
    const staged = placeFor('by-token');
    await sink.stage(staged, 'staged', deadline());
    await withdraw(staged, await another());
    await expect(sink.publish(staged, deadline())).rejects.toMatchObject({ kind: 'unreachable' });
    expect(await found('by-token')).toBe('old');
    await withdraw(await put(placeFor('by-token'), 'new'), await another());
    expect(await found('by-token')).toBe('old');
    expect((await bao.call('LIST', 'secret/metadata/apps/by-token/.staged')).status).toBe(404);
    await withdraw(old);
    expect(await found('by-token')).toBeNull();
    expect(await left()).toEqual(leftBefore);
    await withdraw(placeFor('never'), await another());
  });

  test('is not brought back by what lies over it once it was withdrawn itself, or settled', async () => {
    const [a, b, c] = [await put(placeFor('pile'), 'a'), await put(placeFor('pile'), 'b'), await put(placeFor('pile'), 'c')];
    await withdraw(b);
    expect(await found('pile')).toBe('c');
    await withdraw(c);
    expect(await found('pile')).toBe('a');
    await withdraw(a);
    expect(await found('pile')).toBeNull();
    await put(placeFor('settled'), 'old');
    const next = await put(placeFor('settled'), 'next');
    await sink.settle(next.clientToken, deadline());
    await sink.settle(next.clientToken, deadline());
    expect(await found('settled')).toBe('next');
    await withdraw(next);
    expect(await found('settled')).toBeNull();
  });

  test('is published again, and not twice, where another was staged in its place; what was there before still comes back', async () => {
    await put(placeFor('again'), 'old');
    const place = await put(placeFor('again'), 'lost');
    await put(place, 'kept');
    expect(await found('again')).toBe('kept');
    await withdraw(place);
    expect(await found('again')).toBe('old');
  });

  test('is not written where somebody wrote in between: it is looked at again', async () => {
    await put(placeFor('raced'), 'old');
    const proxy = await harmingProxy(bao.port);
    const through = openbaoKvSink({ connection: { address: `http://127.0.0.1:${String(proxy.port)}`, token: () => bao.rootToken, allowHttp: true }, mount: 'secret', prefix: 'apps' });
    const place = placeFor('raced');
    await through.stage(place, 'late', deadline());
    // After it has looked at the path, and before it writes there.
    let other: Place | null = null;
    proxy.arm(`POST /v1/secret/data/apps/.changes/${place.clientToken}`, { answer: 'HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n', passOn: true });
    await expect(through.publish(place, deadline())).rejects.toMatchObject({ kind: 'unreachable' });
    other = await put(placeFor('raced'), 'between');
    await through.publish(place, deadline());
    expect(await found('raced')).toBe('late');
    await withdraw(place);
    expect(await found('raced')).toBe('between');
    await withdraw(other);
    expect(await found('raced')).toBe('old');
    await proxy.close();
  });

  test.each(['before', 'after'] as const)('with the server cut off %s any word of stage, publish or withdrawal, is as if it had not been once that is repeated', async (when) => {
    for (const [n, word] of ['POST /v1/secret/data/apps/.changes/', '/.staged/', 'POST /v1/secret/data/apps/cut', 'DELETE /v1/secret/metadata/apps/cut', 'DELETE /v1/secret/metadata/apps/.changes/'].entries()) {
      const path = `cut-${when}-${String(n)}`;
      await put(placeFor(path), 'old');
      const proxy = await harmingProxy(bao.port);
      const through = openbaoKvSink({ connection: { address: `http://127.0.0.1:${String(proxy.port)}`, token: () => bao.rootToken, allowHttp: true }, mount: 'secret', prefix: 'apps' });
      const place = placeFor(path);
      for (const call of ['stage', 'publish', 'withdraw'] as const) {
        const run = (): Promise<void> => (call === 'stage' ? through.stage(place, 'new', deadline()) : call === 'publish' ? through.publish(place, deadline()) : through.withdraw(place.clientToken, deadline()));
        proxy.arm(word, when satisfies Harm);
        await run().catch(() => undefined);
        proxy.arm('nothing of the kind', 'before');
        await run();
        expect(await found(path), `${call} cut ${when} ${word}`).toBe(call === 'publish' ? 'new' : 'old');
      }
      await proxy.close();
    }
  });

  test.each(['old', null])('does not come after all where its publisher was held up until another had withdrawn it (over %s)', async (before) => {
    const path = `paused-${String(before)}`;
    if (before !== null) await put(placeFor(path), before);
    const place = placeFor(path);
    const held = await holdingProxy(bao.address, `/v1/secret/data/apps/${path}`, () => withdraw(place));
    const through = openbaoKvSink({ connection: { address: held.address, token: () => bao.rootToken, allowHttp: true }, mount: 'secret', prefix: 'apps' });
    await through.stage(place, 'new', deadline());
    await expect(through.publish(place, deadline())).rejects.toMatchObject({ kind: 'unreachable' });
    await held.close();
    expect(await found(path)).toBe(before);
  });

  test('does not come after all where what a publisher had sent before it died arrives once another has withdrawn it', async () => {
    await put(placeFor('dead'), 'old');
    const place = placeFor('dead');
    const proxy = await harmingProxy(bao.port);
    const through = openbaoKvSink({ connection: { address: `http://127.0.0.1:${String(proxy.port)}`, token: () => bao.rootToken, allowHttp: true }, mount: 'secret', prefix: 'apps' });
    await through.stage(place, 'new', deadline());
    let late = 0;
    proxy.arm('POST /v1/secret/data/apps/dead', { passOn: false, meanwhile: async () => {
      await withdraw(place);
      ({ status: late } = await bao.call('POST', 'secret/data/apps/dead', { data: { secret: 'new', subject: place.subject, change: place.clientToken }, options: { cas: 1 } }));
    } });
    await expect(through.publish(place, deadline())).rejects.toMatchObject({ kind: 'ambiguous' });
    await proxy.idle();
    await proxy.close();
    expect([late, await found('dead')]).toEqual([400, 'old']);
  });

  test('is not put over another where the store keeps one version, and what must be fenced is', async () => {
    await bao.call('POST', 'sys/mounts/strict', { type: 'kv', options: { version: '2' } });
    await expect.poll(async () => (await bao.call('POST', 'strict/config', { max_versions: 1, cas_required: true })).status, { timeout: 10_000 }).toBe(204);
    const strict = openbaoKvSink({ connection: { address: bao.address, token: () => bao.rootToken, allowHttp: true }, mount: 'strict' });
    const only = await put(placeFor('one'), 'only', strict);
    await expect(strict.stage(placeFor('one'), 'over it', deadline())).rejects.toMatchObject({ kind: 'rejected', message: expect.stringContaining('one version') as string });
    await withdraw(only, strict);
    expect((await bao.call('GET', 'strict/data/one')).status).toBe(404);
  });

  test('a store that does not let it, or is not there, is said, without the secret', async () => {
    const outside = await openSink(openbaoKvConfigSchema.parse({ kind: 'openbao-kv', address: bao.address, tokenFile: join(directory, 'token'), allowHttp: true, prefix: 'elsewhere' }));
    const refused: unknown = await outside.stage(placeFor('x'), 'canary-in-kv', deadline()).catch((error: unknown) => error);
    expect(refused).toMatchObject({ kind: 'rejected' });
    expect(String(refused)).not.toContain('canary-in-kv');
    const nobody = await openSink(openbaoKvConfigSchema.parse({ kind: 'openbao-kv', address: 'http://127.0.0.1:1', tokenFile: join(directory, 'token'), allowHttp: true }));
    await expect(nobody.stage(placeFor('x'), 'secret', deadline())).rejects.toMatchObject({ kind: 'unreachable' });
  });
});
