/** A broken glass: who broke it, what is owed for it, and the form by which somebody else reviews that. */
import type { ChangeView } from '../../client/index.ts';
import { plain } from '../../protocol/plain.ts';
import type { Place } from '../context.ts';
import type { Reviewing } from '../may.ts';
import type { Session } from '../sessions.ts';
import { changePath, Time } from './small.tsx';

const VERDICTS = [['justified', 'Justified: it had to be done so'], ['unjustified', 'Not justified']] as const;

export interface WrittenReview {
  readonly comment: string;
  readonly verdict?: string | undefined;
  readonly rotation?: string | undefined;
}

export interface GlassProps {
  readonly change: ChangeView;
  readonly place: Place;
  readonly session: Session;
  readonly may: Reviewing;
  readonly passkeyScript: string;
  /** What was typed into the form, where it was refused. */
  readonly written: WrittenReview | null;
}

export function Glass({ change, place, session, may, passkeyScript, written }: GlassProps) {
  const { breakGlass } = change;
  if (breakGlass === undefined) return null;
  const { usedBy, record, reviewBy, review, rotation, reviewers } = breakGlass;
  const [withSession, withPasskey] = [may.proofs.includes('session'), may.proofs.includes('passkey')];
  return (
    <section id="glass" aria-labelledby="glass-title">
      <h2 id="glass-title">Broken glass</h2>
      <p>Given at the word of <span class="id">{plain(usedBy)}</span> alone, without the approvals that it takes: <a href={`#r${record}`}>record {record}</a>.</p>
      <p>{review === null ? <>To be reviewed by {reviewers === undefined ? 'somebody else' : reviewers.length === 0 ? 'somebody, though nobody whose review counts is there,' : <span class="id">{reviewers.map(plain).join(' or ')}</span>} until <Time at={reviewBy} />.</> : <>Reviewed by <span class="id">{plain(review.by)}</span>: {review.verdict}.</>}</p>
      {rotation === null ? null : <p>{plain(rotation.account)} at {plain(`${rotation.connector} / ${rotation.target}`)} {rotation.change !== null ? <>has a new credential: <span class="id">{rotation.change}</span>.</> : rotation.waivedBy !== null ? <>needs no new credential, says <span class="id">{plain(rotation.waivedBy)}</span>.</> : <>owes a new credential until <Time at={rotation.rotateBy} />.</>}</p>}
      {may.verdict !== null && !may.mayWaive ? null : (
        <form method="post" action={changePath(place, change.id, '/review')} data-deed="review">
          <input type="hidden" name="formKey" value={session.formKey} />
          <input type="hidden" name="passkey" value="" />
          {may.verdict !== null ? <input type="hidden" id="review-verdict" name="verdict" value={may.verdict} /> : (
            <>
              <label for="review-verdict">What it comes to</label>
              <select id="review-verdict" name="verdict" disabled={!may.may}>{VERDICTS.map(([value, text]) => <option value={value} selected={value === written?.verdict}>{text}</option>)}</select>
            </>
          )}
          {may.mayWaive ? <label class="check"><input type="checkbox" id="review-rotation" name="rotation" value="notNeeded" checked={may.verdict !== null || written?.rotation === 'notNeeded'} disabled={!may.may} /> The login needs no new credential</label> : null}
          <label for="review-comment">What you found</label>
          <input type="text" id="review-comment" name="comment" required maxlength={500} autocomplete="off" value={written?.comment ?? ''} disabled={!may.may} />
          <div class="buttons">
            {withPasskey ? <button class="main" type="submit" id="review-passkey" name="by" value="passkey" data-passkey={passkeyScript} data-change={changePath(place, change.id)} hidden disabled={!may.may}>Review with a passkey</button> : null}
            {withSession || !withPasskey ? <button class={withPasskey ? '' : 'main'} type="submit" id="review" disabled={!may.may} aria-describedby="review-why">Review</button> : null}
          </div>
          {withPasskey && !withSession ? <noscript><p class="note">A passkey needs JavaScript.</p></noscript> : null}
          <p class="why" id="review-why">{may.may ? 'Recorded.' : plain(may.why)}</p>
        </form>
      )}
    </section>
  );
}
