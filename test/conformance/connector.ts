/** What every connector owes, whatever its target: the kit's checks (`src/executor/kit`), as tests on a real one. */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { connectorChecks, type KitAction, type TargetAdapter } from '../../src/executor/kit/index.ts';

export interface OpenedTarget {
  readonly adapter: TargetAdapter;
  close(): Promise<void>;
}

/** @param actions all that the connector does */
export function connectorConformance(name: string, actions: readonly KitAction[], open: () => Promise<OpenedTarget>): void {
  describe(`the connector for ${name}`, () => {
    let target: OpenedTarget;
    beforeAll(async () => {
      target = await open();
    });
    afterAll(() => target.close());
    for (const { title, run } of connectorChecks(actions, () => target.adapter)) test(title, run);
  });
}
