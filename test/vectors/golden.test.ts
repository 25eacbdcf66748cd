/**
 * A ledger of each format version, written once by the build that introduced it and kept: this build must still verify it, and fold it
 * to the same states. `expected.json` beside it was written on that day.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk, verifyLedger, type RuleSet } from '../../ledger/index.ts';
import { evolve, type ChangeState } from '../../src/change/state.ts';
import { isChangeEventType, RECORD_VERSIONS, toEvent } from '../../src/evidence/record.ts';
import { verifyEvidence } from '../../src/evidence/verify.ts';
import { createReplayer } from '../../src/pdp/replayer.ts';
import { loadTrustFolder } from '../../src/protocol/trust-folder.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
interface Expected {
  readonly size: number;
  readonly root: string;
  readonly states: Readonly<Record<string, readonly [kind: string, state: string, records: number]>>;
}

describe.each(readdirSync(GOLDEN))('the golden ledger of format %s', (version) => {
  const directory = join(GOLDEN, version);
  const expected = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8')) as Expected;

  it('still verifies', async () => {
    const trust = await loadTrustFolder(join(directory, 'trust'));
    const { verdicts, head, replay } = await verifyEvidence({ disk: nodeDisk(directory), directory: 'ledger', trust, wholeFolder: true, replayer: createReplayer() });
    const required = verdicts.filter(({ name }) => ['INTEGRITY', 'SIGNATURE', 'COMPLETENESS', 'WORKFLOW'].includes(name));
    expect(required.map(({ name, status }) => [name, status])).toEqual([['INTEGRITY', 'holds'], ['SIGNATURE', 'holds'], ['COMPLETENESS', 'holds'], ['WORKFLOW', 'holds']]);
    // The policy of then, run by the engine of now. Version 1 kept none.
    expect([verdicts.find(({ name }) => name === 'REPLAY')?.status, replay?.differing ?? 0]).toEqual([version === 'v1' ? 'notEstablished' : 'holds', 0]);
    expect([head?.size, Buffer.from(head?.root ?? []).toString('hex')]).toEqual([expected.size, expected.root]);
  });

  it('still folds to the states it had', async () => {
    const trust = await loadTrustFolder(join(directory, 'trust'));
    const states = new Map<string, ChangeState>();
    const fold: RuleSet = {
      names: [],
      async record(record, readObject) {
        if (!isChangeEventType(record.type)) return;
        const event = await toEvent(record, readObject);
        states.set(event.changeId, evolve(states.get(event.changeId) ?? null, event));
      },
      finish: () => [],
    };
    await verifyLedger({ disk: nodeDisk(directory), directory: 'ledger', trust: trust.policy, rules: () => fold });
    expect(Object.fromEntries([...states].map(([id, state]) => [id, [state.request.kind, state.name, state.length]]))).toEqual(expected.states);
  });
});

it('every version that records have had has a golden ledger', () => {
  const newest = Math.max(...Object.values(RECORD_VERSIONS));
  expect([...new Set(readdirSync(GOLDEN).map((version) => Number(/^v(\d+)/.exec(version)?.[1])))].sort()).toEqual(Array.from({ length: newest }, (_, i) => i + 1));
});
