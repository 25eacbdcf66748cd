/**
 * A key-value store (version 2) of OpenBao 2 or Vault, as a sink: who uses a credential reads it at a path of its own.
 *
 * What is kept there is `{secret, subject, change}`: the identity that it is for, and the client token of the change that made it. Anything else that is
 * found at a path is somebody else's, and is not written over. Which path a change has its secret at, and which version was there before, is
 * kept under its client token beside: so any worker can bring back what was there.
 */
import { TargetError } from '../../executor/connector.ts';
import type { Place, Sink } from '../../executor/sink.ts';
import { parseAddress, pathOf, type OpenBaoAddress } from './address.ts';
import { keptSchema, openStore, pointerSchema, type Kept, type Newest, type Pointer, type Store } from './kv-store.ts';
import { withSession } from './session.ts';

export interface OpenBaoKvOptions {
  readonly connection: OpenBaoAddress;
  /** Where the store is mounted. */
  readonly mount: string;
  /** Nothing is kept outside it. */
  readonly prefix?: string;
}

/** Changes whose secrets lie one over the other at a path. */
const STACKED_MAX = 64;

/** A sink in one store. Nothing is opened before a method is called, and nothing stays open after it. @throws RangeError on a malformed address, mount or prefix */
export function openbaoKvSink({ connection: address, mount, prefix }: OpenBaoKvOptions): Sink {
  parseAddress(address);
  const under = prefix === undefined ? '' : `${pathOf(prefix)}/`;
  pathOf(mount);
  const inStore = <T>(signal: AbortSignal, use: (store: Store) => Promise<T>, secrets: readonly string[] = []): Promise<T> =>
    withSession({ address, mount, secrets }, signal, (session) => use(openStore(session)));
  const pathAt = (path: string): string => `${under}${pathOf(path)}`;
  // No path of a recipient has a part that begins with a dot.
  const stagedAt = ({ path, clientToken }: Place): string => `${pathAt(path)}/.staged/${clientToken}`;
  const pointerAt = (clientToken: string): string => `${under}.changes/${clientToken}`;

  return {
    stage: (place, secret, signal) => inStore(signal, async (store) => {
      const [at, pointerPath, stagedPath] = [pathAt(place.path), pointerAt(place.clientToken), stagedAt(place)];
      const found = await store.newest(at, keptSchema);
      mustBeOurs(place, found);
      if (found.value !== null && (await store.versionsKept(at)) === 1) throw new TargetError('rejected', 'the store keeps one version of a secret: what is there could not be brought back');
      const pointer = await store.newest(pointerPath, pointerSchema);
      if (pointer.value?.path !== place.path) await store.put(pointerPath, pointer.version, { path: place.path, isPublished: false, before: 0 } satisfies Pointer);
      const { version } = await store.newest(stagedPath, keptSchema);
      await store.put(stagedPath, version, { secret, subject: place.subject, change: place.clientToken } satisfies Kept);
    }, [secret]),

    publish: (place, signal) => inStore(signal, async (store) => {
      const [at, pointerPath] = [pathAt(place.path), pointerAt(place.clientToken)];
      const found = await store.newest(at, keptSchema);
      mustBeOurs(place, found);
      const isMine = found.value?.change === place.clientToken;
      const { value: staged } = await store.newest(stagedAt(place), keptSchema);
      if (staged === null && isMine) return;
      const pointer = await store.newest(pointerPath, pointerSchema);
      if (staged === null || pointer.value === null) throw new TargetError('unreachable', 'what was staged is not there any more');
      const before = isMine ? pointer.value.before : found.value === null ? 0 : found.version;
      // Before it is published: from then on any worker can bring it back.
      if (before !== pointer.value.before || !pointer.value.isPublished) await store.put(pointerPath, pointer.version, { path: place.path, isPublished: true, before } satisfies Pointer);
      if (found.value?.secret !== staged.secret || !isMine) await store.put(at, found.version, staged);
      if ((await store.newest(pointerPath, pointerSchema)).value === null) {
        // It was withdrawn while this was written where nothing had been.
        await withdrawFrom(store, at, place.clientToken, before);
        throw new TargetError('unreachable', 'what was staged is not there any more');
      }
      await store.erase(stagedAt(place));
    }),

    settle: (clientToken, signal) => inStore(signal, async (store) => {
      const pointer = await store.newest(pointerAt(clientToken), pointerSchema);
      if (pointer.value === null || pointer.value.before === 0) return;
      await store.put(pointerAt(clientToken), pointer.version, { ...pointer.value, before: 0 });
    }),

    withdraw: (clientToken, signal) => inStore(signal, async (store) => {
      const pointer = await store.newest(pointerAt(clientToken), pointerSchema);
      if (pointer.value === null) return;
      const { path, isPublished, before } = pointer.value;
      await store.erase(stagedAt({ path, subject: '', clientToken }));
      if (isPublished) await withdrawFrom(store, pathAt(path), clientToken, before);
      // Last: until all of it is done, whoever tries again finds it by this.
      await store.erase(pointerAt(clientToken));
    }),
  };

  /** What the change has at the path is not found any more: what was there before it is, also by whoever takes back what was put over it. */
  async function withdrawFrom(store: Store, at: string, clientToken: string, before: number): Promise<void> {
    const top = await store.newest(at, keptSchema);
    if (top.value === null) return;
    if (top.value.change === clientToken) {
      const earlier = before === 0 ? null : await store.version(at, before, keptSchema);
      if (earlier === null) await store.remove(at);
      else await store.put(at, top.version, earlier);
      return;
    }
    if (await cutOut(store, at, clientToken, top.value.change, before)) return;
    // It was not there yet. A write of it that is still on its way is after a version that is the newest no more.
    await store.put(at, top.version, top.value);
  }

  /** Whether the change lies below another, going down from `over`: that has from then on what lay below both. */
  async function cutOut(store: Store, at: string, clientToken: string, over: string, before: number): Promise<boolean> {
    let upper = over;
    for (let stacked = 0; stacked < STACKED_MAX; stacked += 1) {
      const pointer = await store.newest(pointerAt(upper), pointerSchema);
      const below = pointer.value === null || pointer.value.before === 0 ? null : await store.version(at, pointer.value.before, keptSchema);
      if (pointer.value === null || below === null) return false;
      if (below.change === clientToken) {
        await store.put(pointerAt(upper), pointer.version, { ...pointer.value, before } satisfies Pointer);
        return true;
      }
      upper = below.change;
    }
    return false;
  }
}

/** @throws TargetError `rejected` */
function mustBeOurs({ subject }: Place, { value, isForeign }: Newest<Kept>): void {
  if (isForeign || (value !== null && value.subject !== subject)) throw new TargetError('rejected', 'something else is kept at that path');
}
