/** Someone who can reach a worker and is not the sidecar: it sends what it likes and sees what is answered. */
import type { StepEnvelope } from '../../src/protocol/envelope.ts';
import { openBusLine } from './rogue-on-bus.ts';
import { openSocketLine } from './rogue-on-socket.ts';
import type { World } from './world.ts';

export interface Rogue {
  /**
   * What the executor answers to the envelope: `accepted`, or why not. `make` is called again with the sizes of the checkpoints that its
   * workers have seen, where they want a proof from there.
   */
  send(make: (fromSizes: readonly number[]) => StepEnvelope): Promise<string>;
  close(): Promise<void>;
}

/** At the executor's socket; or, where there is a bus, with the sidecar's way onto it, as if that had been stolen. No report is for us to take. */
export async function openRogue(world: Pick<World, 'paths' | 'bus'>): Promise<Rogue> {
  const line = world.bus === null ? await openSocketLine(world.paths.executorSocket) : await openBusLine(world.bus);
  return {
    async send(make) {
      const seen: number[] = [];
      for (;;) {
        const answer = await line.ask(make(seen));
        if ('error' in answer) return answer.error;
        if (answer.accepted) return 'accepted';
        if (seen.includes(answer.fromSize)) return answer.code;
        seen.push(answer.fromSize);
      }
    },
    close: () => line.close(),
  };
}
