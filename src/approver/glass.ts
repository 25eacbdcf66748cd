/** The review of a broken glass: the change as the command shows it, and what somebody who was asked says of it afterwards. */
import { reviewFault } from '../cli/shown-statement.ts';
import type { BreakGlassReviewBody, ChangeView } from '../client/index.ts';
import { commitmentTo } from '../protocol/disclosure.ts';
import { assertStatement, newSalt } from './passkey.ts';
import type { Shown } from './shown.ts';
import type { SidecarDoor } from './sidecar.ts';

const VERDICTS = { approve: 'justified', reject: 'unjustified' } as const;

/** Whether somebody has broken the glass, and nobody has reviewed it. A rotation that is owed is the console's and the command's. */
export const isToReview = ({ breakGlass, state }: ChangeView): boolean => breakGlass?.review === null && state !== 'pending';

export function reviewing(door: SidecarDoor, { id }: ChangeView): Pick<Shown, 'what' | 'words' | 'closed' | 'decide'> {
  return {
    what: 'glass', words: { approve: 'It was justified', reject: 'It was not justified' }, closed: null,
    async decide(pressed, comment) {
      const verdict = VERDICTS[pressed];
      const { statement: unsaid, proofClass, passkeys } = await door.review(id);
      const said = { verdict, comment };
      // Who has no passkey here may do with her token, where the floor lets her.
      await door.sendReview(id, proofClass === 'session' && passkeys.length === 0 ? said : { ...said, signed: await signed() });
      return `Reviewed: ${verdict}.`;

      async function signed(): Promise<NonNullable<BreakGlassReviewBody['signed']>> {
        const fault = reviewFault(id, unsaid, Date.now());
        if (fault !== null) throw new Error(`What is to be signed is ${fault}. Nothing was signed.`);
        const salt = newSalt();
        return { salt, passkey: await assertStatement({ statement: { ...unsaid, verdict, comment: commitmentTo({ name: 'comment', salt, value: comment }) }, passkeys }) };
      }
    },
  };
}
