/** The protocol's vectors, as files: made of the product's own code, and answered by it as they say. What any other worker is held to. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canonicalBytes, canonicalText, digestOf, generateSignerKey, JsonError, parseSigner, parseStrict } from '../../ledger/index.ts';
import { admit, type Admission } from '../../src/executor/admission.ts';
import type { Claim } from '../../src/executor/claims.ts';
import { locked } from '../../src/executor/locked.ts';
import { emptyLocks, foldLock, openLock } from '../../src/protocol/lock.ts';
import { preAuthEncoding, signDsse } from '../../src/protocol/dsse.ts';
import { anyReportSchema } from '../../src/protocol/discovery.ts';
import { reportMessageSchema } from '../../src/protocol/envelope.ts';
import { REFUSALS, REPORT_TYPE } from '../../src/protocol/signed.ts';
import { parseTrust, TrustError, type Trust } from '../../src/protocol/trust-folder.ts';
import { parseTime } from '../../src/protocol/values.ts';
import { publishedReportSchema } from '../../src/transport/nats/said.ts';
import { MESSAGE_BYTES_MAX } from '../../src/transport/nats/bus-layout.ts';
import { protocolVectors } from '../support/protocol-vectors/all.ts';
import { claimAnswer, type Ask } from '../support/protocol-vectors/claims.ts';
import { lockAnswer, type LockVector } from '../support/protocol-vectors/locks.ts';
import type { OrderVector } from '../support/protocol-vectors/orders.ts';
import type { StepVector, TrustTexts } from '../support/protocol-vectors/steps.ts';
import type { TrustExpected } from '../support/protocol-vectors/trust.ts';
import type { Message } from '../support/protocol-vectors/vector.ts';
import { orderAnswer } from '../support/protocol-vectors/order-answer.ts';

const FOLDER = join(import.meta.dirname, 'protocol');
const made = await protocolVectors();

if (process.env['UPDATE_VECTORS'] === '1') {
  for (const name of await filesIn(FOLDER)) if (!made.has(name)) await rm(join(FOLDER, name));
  for (const [name, text] of made) {
    await mkdir(dirname(join(FOLDER, name)), { recursive: true });
    await writeFile(join(FOLDER, name), text);
  }
}
const names = await filesIn(FOLDER);
const files = new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(FOLDER, name), 'utf8')] as const)));

async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true }).catch(() => []);
  return found.filter((name) => name.endsWith('.json')).sort();
}

/** Those of one suite, by name. */
function suite<T>(name: string): (readonly [string, T])[] {
  return [...files].filter(([path]) => path.startsWith(`${name}/`)).map(([path, text]) => [path, JSON.parse(text) as T]);
}

function bytesOf(message: Message): Uint8Array {
  if ('json' in message) return Buffer.from(JSON.stringify(message.json));
  const bytes = Buffer.from(message.base64, 'base64');
  return Buffer.concat([bytes, Buffer.alloc(Math.max(0, (message.padTo ?? 0) - bytes.length), ' ')]);
}

const trustOf = (texts: TrustTexts): Trust =>
  parseTrust({ policy: texts['trust.policy'], rest: { sidecars: texts['sidecars.json'], executors: texts['executors.json'], requirements: texts['requirements.json'], signers: texts['allowed_signers'] ?? null, passkeys: texts['passkeys.json'] ?? null } });

describe('the files', () => {
  it('are what the product makes, each of them and no others: UPDATE_VECTORS=1 writes them', () => {
    expect(names).toEqual([...made.keys()].sort());
    for (const [name, text] of files) expect(text, name).toBe(made.get(name));
  });

  it('have every refusal at least once', () => {
    const seen = new Set([...files.values()].flatMap((text) => [...text.matchAll(/"(?:refused|code)": "([a-z-]+)"/g)].map((match) => match[1]!)));
    expect(REFUSALS.filter((code) => !seen.has(code))).toEqual([]);
  });
});

describe('steps', () => {
  it.each(suite<StepVector['content']>('steps'))('%s', (_name, { executor, connectors, now, head, begunAt, locks = [], trust, message, expect: expected }) => {
    const held = emptyLocks();
    for (const lock of locks) foldLock(held, openLock(lock, trustOf(trust)));
    const context = { trust: trustOf(trust), executorId: executor, nowMs: parseTime(now), connectors: new Set(connectors), head: () => head, beganAtMs: () => (begunAt === null ? null : parseTime(begunAt)) };
    const answer = (admission: Admission): object => {
      const lock = admission.ok && admission.kind === 'act' ? locked({ book: { state: { locks: held } } }, admission.plan, admission.ticket) : null;
      if (lock !== null) return { refused: lock.code, answer: 'report', head: admission.head };
      if (admission.ok) return { admitted: admission.kind, head: admission.head };
      const { code, ticket } = admission;
      return { refused: code, answer: ticket === null ? 'none' : code === 'inconsistent-checkpoint' ? 'inconsistent' : 'report', head: admission.head };
    };
    let value: unknown;
    try {
      value = parseStrict(bytesOf(message), { maxBytes: MESSAGE_BYTES_MAX });
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      return expect({ refused: 'malformed', answer: 'none', head: null }).toEqual(expected);
    }
    expect(answer(admit(value, context))).toEqual(expected);
  });
});

describe('orders', () => {
  it.each(suite<OrderVector['content']>('orders'))('%s', async (_name, { executor, connectors, trust, message, expect: expected }) => {
    expect(await orderAnswer(bytesOf(message), { trust: trustOf(trust), executorId: executor, connectors })).toEqual(expected);
  });
});

describe('locks', () => {
  it.each(suite<LockVector['content']>('locks'))('%s', (_name, { trust, statements, nhi, connector, expect: expected }) => {
    expect(lockAnswer(statements.map(bytesOf), trustOf(trust), nhi, connector)).toEqual(expected);
  });
});

interface ReportVector {
  readonly key: { readonly name: string; readonly seed: string; readonly vkey: string };
  readonly report: object;
  readonly states: readonly object[];
  readonly expect: {
    readonly payload: string; readonly signedBytes: string; readonly digest: string; readonly stateDigests: readonly string[]; readonly message: unknown;
    readonly published: { readonly subject: string; readonly data: string };
  };
}

describe('reports', () => {
  it.each(suite<ReportVector>('reports'))('%s', (_name, { key, report, states, expect: expected }) => {
    const signer = parseSigner(generateSignerKey(key.name, Buffer.from(key.seed, 'base64')).skey);
    expect(signer.vkey).toBe(key.vkey);
    const content = anyReportSchema.parse(report);
    const message = reportMessageSchema.parse(expected.message);
    expect(message.report).toEqual(signDsse(REPORT_TYPE, content, signer));
    expect(canonicalText(content)).toBe(expected.payload);
    expect(Buffer.from(preAuthEncoding(REPORT_TYPE, Buffer.from(expected.payload))).toString('base64')).toBe(expected.signedBytes);
    expect(digestOf(Buffer.from(expected.payload))).toBe(expected.digest);
    expect(states.map((state) => digestOf(canonicalBytes(state)))).toEqual(expected.stateDigests);
    expect(new Set(message.objects)).toEqual(new Set(states.map((state) => canonicalText(state))));
    expect(publishedReportSchema.parse(JSON.parse(expected.published.data)).message).toEqual({ ...message, ciphertext: null });
    expect(expected.published.subject.endsWith(expected.digest.slice(7, 39))).toBe(true);
  });
});

describe('claims between workers', () => {
  it.each(suite<{ worker: string; now: string; held: Claim | null; ask: Ask; expect: object }>('claims'))('%s', async (_name, { worker, now, held, ask, expect: expected }) => {
    expect(await claimAnswer(worker, held, ask, parseTime(now))).toEqual(expected);
  });
});

describe('trust folders', () => {
  it.each(suite<{ trust: TrustTexts; expect: TrustExpected }>('trust'))('%s', (_name, { trust, expect: expected }) => {
    const answer = (): TrustExpected => {
      try {
        trustOf(trust);
        return { loads: true };
      } catch (error) {
        if (!(error instanceof TrustError)) throw error;
        return { refused: error.file as keyof TrustTexts };
      }
    };
    expect(answer()).toEqual(expected);
  });
});

describe('what others have published', () => {
  it('is what the vectors say: the example of DSSE, and that of RFC 8785', () => {
    const [, pae] = suite<{ expect: { base64: string } }>('pae').find(([name]) => name === 'pae/hello.json')!;
    expect(Buffer.from(pae.expect.base64, 'base64').toString()).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world');
    const [, jcs] = suite<{ expect: { canonical: string } }>('jcs').find(([name]) => name === 'jcs/order.json')!;
    expect(jcs.expect.canonical).toBe(
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis","\u20ac":"Euro Sign","\u{1f600}":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    );
  });
  it('and every refusal in jcs/ is one', () => {
    for (const [name, { expect: expected }] of suite<{ expect: { refused?: string } }>('jcs')) expect(expected.refused !== undefined, name).toBe(name.includes('/refused-'));
  });
});
