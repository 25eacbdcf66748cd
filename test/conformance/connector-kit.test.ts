/** The kit doubted: connectors that break one promise each, and the check that must see it. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TargetError, type Connector } from '../../src/executor/connector.ts';
import { connectorChecks } from '../../src/executor/kit/index.ts';
import { ACTIONS, CONNECTOR, testReceiver, type TestReceiver } from '../support/webhook-target.ts';

const TITLES = connectorChecks(ACTIONS, () => Promise.reject(new Error('not to be run'))).map(({ title }) => title);
const never = (): AbortSignal => new AbortController().signal;

type Break = (good: Connector, receiver: TestReceiver) => Partial<Connector>;
const printing = (print: (secret: string) => unknown): Break => (good) => ({
  async apply(input) {
    if (input.secret !== null) print(input.secret);
    await good.apply(input);
  },
});
const PROVISION = 'provision: makes what the secret opens, with the privileges and no others; it is read, probed, and tried by use';
const EXTEND = 'extend: gives what a provision made a later end, or says beforehand that it cannot';
const TAKEN = 'provision: is refused where the name is taken, and leaves that account alone';

const BROKEN: readonly (readonly [promise: string, check: string, how: Break])[] = [
  ['does more than it states', 'states what it does, and nothing else', (good) => ({ describe: (action) => (action === 'replace' ? good.describe('stage') : good.describe(action)) })],
  ['does less than it states', 'states what it does, and nothing else', (good) => ({ describe: (action) => (action === 'disable' ? null : good.describe(action)) })],
  ['gives more than was asked', PROVISION, (good, { adapter }) => ({ apply: (input) => good.apply({ ...input, step: { ...input.step, privileges: [...adapter.privileges] } }) })],
  ['gives nothing', PROVISION, () => ({ apply: () => Promise.resolve() })],
  ['says that any secret works', PROVISION, () => ({ tryUse: () => Promise.resolve('works') })],
  ['finds nothing that it made', PROVISION, () => ({ probe: () => Promise.resolve('absent') })],
  ['makes an account by looking for it', 'provision: reading and probing change nothing', (good) => ({
    async probe({ account, ...step }) {
      await good.apply({ step: { ...step, account, connector: CONNECTOR, stepId: `stp_0123456789abcdef_${step.clientToken.slice(3).toUpperCase()}_r1_1` }, validUntil: null, secret: 'any', endSessions: false, signal: never() });
      return 'absent';
    },
  })],
  ['changes the secret when it is asked again', 'provision: asked twice, makes one', (good) => ({
    async apply(input) {
      await good.revoke({ ...input.step, action: 'provision' }, input.signal);
      await new Promise((later) => setTimeout(later, 5));
      await good.apply(input);
    },
  })],
  ['takes an account of others over', TAKEN, (good, { adapter }) => ({
    async apply(input) {
      await good.apply(input).catch(() => adapter.makeAccount(input.step.account, input.secret ?? '', []));
    },
  })],
  ['refuses, and leaves something behind', 'provision: is refused where a privilege is not there, and leaves nothing behind', (good) => ({
    async apply(input) {
      await good.apply({ ...input, step: { ...input.step, privileges: input.step.privileges.slice(0, 1) } });
      throw new TargetError('rejected', 'no such privilege');
    },
  })],
  ['gives for ever', 'provision: ends as stated, by itself or not', (good) => ({ apply: (input) => good.apply({ ...input, validUntil: null }) })],
  ['states that it ends by a revoke alone, and it ends by itself', 'provision: ends as stated, by itself or not', (good) => ({
    describe: (action) => {
      const described = good.describe(action);
      return described === null ? null : { ...described, expiry: 'external' };
    },
  })],
  ['takes nothing back', 'revoke: ends the access and its sessions, and says so again when asked again', () => ({ revoke: () => Promise.resolve('done') })],
  ['says done whatever there was', 'revoke: finds nothing to do where there never was anything', (good) => ({ revoke: async (...args) => (await good.revoke(...args), 'done') })],
  ['takes what somebody else made', 'revoke: leaves an account of the same name alone that somebody else made anew', (good, { adapter }) => ({
    async revoke(order, signal) {
      if ((await good.revoke(order, signal)) === 'mismatch') await adapter.makeAccount(order.account, 'another', []);
      return 'mismatch';
    },
  })],
  ['finds by the name alone', 'revoke: finds what was made again by its client token, whoever asks', (good) => ({ probe: async ({ target, account, privileges, clientToken }, signal) => ((await good.read({ connector: CONNECTOR, target, account, privileges, clientToken, action: 'provision' }, signal)).exists ? 'applied' : 'absent') })],
  ['cuts names', 'provision: the name "a;b" is taken literally, or refused', (good) => ({ apply: (input) => good.apply({ ...input, step: { ...input.step, account: input.step.account.split(';')[0]! } }) })],
  ['takes a name that is too long', 'provision: the name "yyyyyyyy… (5000)" is taken literally, or refused', (good) => ({ apply: (input) => good.apply({ ...input, step: { ...input.step, account: input.step.account.slice(0, 80) } }) })],
  ['gives one grant where there were two', 'grant: that overlaps another leaves it: the access ends with the last of them', (good) => {
    const one = 'cs_00000000000000000000000000';
    return {
      apply: (input) => good.apply({ ...input, step: { ...input.step, clientToken: one } }), revoke: (order, signal) => good.revoke({ ...order, clientToken: one }, signal),
      probe: (step, signal) => good.probe({ ...step, clientToken: one }, signal),
    };
  }],
  ['takes what others gave', 'grant: leaves the same privilege that somebody else gave', (good) => ({
    async revoke(order, signal) {
      await good.apply({ step: { ...order, connector: CONNECTOR, action: 'revoke', stepId: `stp_0123456789abcdef_${order.clientToken.slice(3).toUpperCase()}_r1_1`, privileges: [...order.privileges] }, validUntil: null, secret: null, endSessions: false, signal });
      return good.revoke(order, signal);
    },
  })],
  ['lets no login overlap', 'rotate: goes from the old login to the new one, and both work in between', (good) => ({
    async apply(input) {
      await good.apply(input);
      const { action, account, other } = input.step;
      if (action === 'stage') await good.apply({ ...input, endSessions: true, step: { ...input.step, action: 'retire', account: other!, other: account } });
    },
  })],
  ['tells another state before each step', 'rotate: goes from the old login to the new one, and both work in between', (good) => ({
    async read(query, signal) {
      const state = await good.read(query, signal);
      return { ...state, touched: { ...state.touched, role: Math.random().toString() } };
    },
  })],
  ['takes both logins back', 'rotate: a staged login is taken back, and the one in use stays', (good) => {
    let old = '';
    return {
      async apply(input) {
        old = input.step.other ?? old;
        await good.apply(input);
      },
      async revoke(order, signal) {
        await good.apply({ step: { ...order, connector: CONNECTOR, action: 'retire', account: old, other: order.account, stepId: `stp_0123456789abcdef_${order.clientToken.slice(3).toUpperCase()}_r1_1`, privileges: [...order.privileges] }, validUntil: null, secret: null, endSessions: true, signal }).catch(() => undefined);
        return good.revoke(order, signal);
      },
    };
  }],
  ['lets a later end be and says that it is so', EXTEND, (good) => ({ apply: (input) => (input.step.action === 'extend' ? Promise.resolve() : good.apply(input)) })],
  ['makes what it was to extend anew', 'extend: brings nothing back of a grant that was taken back, nor of another change', (good) => ({
    apply: ({ step: { gave, ...step }, ...input }) => good.apply({ ...input, step: { ...step, action: gave ?? step.action } }),
  })],
  ['leaves a session open', 'disable: shuts an account out, and may be asked for again', (good) => ({ apply: (input) => (input.step.action === 'disable' ? Promise.resolve() : good.apply(input)) })],
  ['goes to another target', 'another target than its own is refused by every method', (good, { adapter }) => ({ apply: (input) => good.apply({ ...input, step: { ...input.step, target: adapter.target } }) })],
  ['pays no heed to its deadline', 'a deadline that has passed sends nothing', (good) => ({ apply: (input) => good.apply({ ...input, signal: never() }) })],
  ['prints the secret', PROVISION, printing((secret) => process.stderr.write(`setting ${Buffer.from(secret).toString('hex')}\n`))],
  ['logs the secret', PROVISION, printing((secret) => console.log({ secret }))],
  ['passes the secret to a program', PROVISION, printing((secret) => spawn('true', ['--password', secret]).on('error', () => undefined))],
  ['has the secret in an error', TAKEN, (good) => ({
    apply: (input) => good.apply(input).catch(() => {
      throw new TargetError('rejected', 'refused', { cause: new Error(`CREATE ROLE x PASSWORD '${input.secret ?? ''}'`) });
    }),
  })],
];

describe('a connector that', { timeout: 60_000 }, () => {
  let receiver: TestReceiver;
  beforeAll(async () => {
    receiver = await testReceiver();
  });
  afterAll(() => receiver.close());

  const run = (title: string, how: Break, patienceMs?: number): Promise<void> => {
    const broken = (): Connector => {
      const good = receiver.connectorTo();
      return { ...good, ...how(good, receiver) };
    };
    return connectorChecks(ACTIONS, () => ({ ...receiver.adapter, open: broken }), patienceMs).find((one) => one.title === title)!.run();
  };

  test.each(BROKEN)('%s is seen: %s', async (_promise, title, how) => {
    expect(TITLES).toContain(title);
    const quiet = { stderr: process.stderr.write.bind(process.stderr), log: console.log };
    process.stderr.write = () => true;
    console.log = () => undefined;
    try {
      await expect(run(title, how, 300)).rejects.toMatchObject({ name: 'AssertionError' });
    } finally {
      process.stderr.write = quiet.stderr;
      console.log = quiet.log;
    }
  });

  test.each([PROVISION, 'grant: gives an account that exists the privileges, and takes them back'])('gives what its target takes a moment to honour keeps its promise: %s', async (title) => {
    const used = new Map<string, number>();
    const adapter = { ...receiver.adapter, open: () => receiver.connectorTo(), async use(name: string, secret: string) {
      const may = await receiver.adapter.use(name, secret);
      used.set(name, (used.get(name) ?? 0) + 1);
      return may === null || may.length === 0 || used.get(name)! > 2 ? may : [];
    } };
    await connectorChecks(ACTIONS, () => adapter).find((one) => one.title === title)!.run();
  });

  test('keeps every promise is seen to, by each of these checks', async () => {
    for (const title of new Set(BROKEN.map(([, check]) => check))) await run(title, () => ({}));
  });
});
