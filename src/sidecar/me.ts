/** `/v1/me`: whom a token stands for. */
import { ROLES } from '../identity/tokens.ts';
import type { Handlers } from './call.ts';

export function meHandlers(): Handlers<'getMe'> {
  return {
    async getMe({ by: { principal, actsFor = [], roles } }) {
      return { status: 200, body: { principal, actsFor: [...actsFor], roles: ROLES.filter((role) => roles.has(role)) } };
    },
  };
}
