/** The sidecar's own HTTP app before the engine that runs at the moment, for whoever asks in a simulated world. */
import type { Engine } from '../../src/engine/engine.ts';
import { hashToken, makeTokens, type Role } from '../../src/identity/tokens.ts';
import { createApp } from '../../src/sidecar/app.ts';
import { EXECUTORS } from './fixtures.ts';
import type { World } from './world.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Sends as a principal. Never resolves where the process that was asked is gone before it answers; null where none runs. */
export type Door = (by: string, method: 'GET' | 'POST', path: string, body?: object) => Promise<HttpAnswer> | null;

const tokenOf = (principal: string): string => `cst_${Buffer.from(principal).toString('base64url')}`;
const ROLES: Role[] = ['caller', 'approver'];

/** @param principals who has a token */
export function openDoor(world: World, principals: readonly string[]): Door {
  const tokens = makeTokens(principals.map((principal) => ({ principal, roles: ROLES, tokenSha256: hashToken(tokenOf(principal)) })));
  const apps = new WeakMap<Engine, ReturnType<typeof createApp>>();
  const appOf = (engine: Engine): ReturnType<typeof createApp> => {
    const known = apps.get(engine);
    if (known !== undefined) return known;
    const silent = (): void => undefined;
    const log = world.log()!;
    const app = createApp({
      engine, log, published: () => log.sync(), facts: () => world.factsNow(), clock: { nowMs: () => world.scheduler.nowMs() + world.sidecar.offsetMs },
      logger: { info: silent, warn: silent, error: (fields, message) => world.scheduler.trace(`the door: ${message} ${JSON.stringify(fields)}`) },
      readLedgerFile: () => Promise.resolve(null), connectors: EXECUTORS.map(({ connector }) => connector), executors: [], tokens, hosts: [], draining: new AbortController().signal,
    });
    apps.set(engine, app);
    return app;
  };
  return (by, method, path, body) => {
    const engine = world.engine();
    if (engine === null) return null;
    const text = body === undefined ? null : JSON.stringify(body);
    const sent = appOf(engine).request(`http://localhost${path}`, {
      method, body: text, headers: { authorization: `Bearer ${tokenOf(by)}`, ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }) },
    }, {});
    return Promise.resolve(sent).then(async (response) => ({ status: response.status, body: await response.json() }));
  };
}
