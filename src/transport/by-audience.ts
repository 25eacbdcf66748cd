/** Several transports as one: each executor is reached by its own. */
import { TransportError, type Transport } from '../engine/ports.ts';

export function byAudience(routes: ReadonlyMap<string, Transport>): Transport {
  const transports = [...new Set(routes.values())];
  const to = (audience: string): Transport => {
    const transport = routes.get(audience);
    if (transport === undefined) throw new TransportError('rejected', `nothing is configured that reaches ${audience}`);
    return transport;
  };
  return {
    arm: async (audience, order) => to(audience).arm(audience, order),
    disarm: async (audience, order) => to(audience).disarm(audience, order),
    publishStep: async (audience, envelope, trace) => to(audience).publishStep(audience, envelope, trace),
    publishRevoke: async (audience, order, trace) => to(audience).publishRevoke(audience, order, trace),
    publishLock: async (audience, lock) => to(audience).publishLock(audience, lock),
    onLock: (callback) => transports.forEach((one) => one.onLock(callback)),
    onReport: (receive) => transports.forEach((one) => one.onReport(receive)),
    onConnected: (callback) => transports.forEach((one) => one.onConnected(callback)),
    states: (audience) => routes.get(audience)?.states(audience) ?? [],
    knows: (audience) => routes.get(audience)?.knows(audience) ?? [],
    onKnows: (callback) => transports.forEach((one) => one.onKnows(callback)),
    onRefused: (callback) => transports.forEach((one) => one.onRefused(callback)),
    isConnected: (audience) => routes.get(audience)?.isConnected(audience) ?? false,
    async close() {
      await Promise.all(transports.map((one) => one.close()));
    },
  };
}
