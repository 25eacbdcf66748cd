/** What one can do about a change. A form for each deed, good without script; a button that does nothing says why. */
import type { Child } from 'hono/jsx';
import type { ChangeView } from '../../client/index.ts';
import { formatLength, plain } from '../../protocol/plain.ts';
import { durationSeconds } from '../../protocol/values.ts';
import type { Place } from '../context.ts';
import type { Acts, May } from '../may.ts';
import type { Session } from '../sessions.ts';
import { Glass, type WrittenReview } from './glass.tsx';
import { changePath } from './small.tsx';

export interface ActsProps {
  readonly change: ChangeView;
  readonly place: Place;
  readonly session: Session;
  readonly acts: Acts;
  /** She could approve the next ones like this. */
  readonly mayStand: boolean;
  /** Where the island is that asks for a passkey. */
  readonly passkeyScript: string;
  /** What was typed into a form that was refused. */
  readonly written: ({ readonly deed: string } & WrittenReview & WrittenLess) | null;
}

/** What was chosen of less; of one plan, since the parts of another have other places. */
export interface WrittenLess {
  readonly planDigest?: string | undefined;
  /** The places of what was to be left out, a line each. */
  readonly without?: string | undefined;
  readonly duration?: string | undefined;
}

export function ActsOn({ change, place, session, acts, mayStand, passkeyScript, written }: ActsProps) {
  const deed = (name: string, children: Child) => (
    <form method="post" action={changePath(place, change.id, `/${name}`)} data-deed={name}>
      <input type="hidden" name="formKey" value={session.formKey} />
      {change.planDigest === null ? null : <input type="hidden" name="planDigest" value={change.planDigest} />}
      {children}
    </form>
  );
  const comment = (name: string): string => (written?.deed === name ? written.comment : '');
  /** While policy is being asked, somebody may be in the middle of a word. */
  const isShut = (may: May): boolean => !may.may && change.state !== 'requested';
  const [withSession, withPasskey] = [acts.approve.proofs.includes('session'), acts.approve.proofs.includes('passkey')];
  return (
    <section id="acts" aria-labelledby="acts-title" data-plan={change.planDigest}>
      {acts.review === null ? null : <Glass change={change} place={place} session={session} may={acts.review} passkeyScript={passkeyScript} written={written?.deed === 'review' ? written : null} />}
      <h2 id="acts-title">Decide</h2>
      {deed('approve', (
        <>
          <label for="approve-comment">Comment <span class="note">(if you like; it is recorded)</span></label>
          <input type="text" id="approve-comment" name="comment" maxlength={500} autocomplete="off" value={comment('approve')} disabled={isShut(acts.approve)} />
          <div class="buttons">
            {withPasskey ? <button class="main" type="submit" id="approve-passkey" name="by" value="passkey" data-passkey={passkeyScript} data-change={changePath(place, change.id)} hidden disabled={!acts.approve.may}>Approve with a passkey</button> : null}
            {withSession || !withPasskey ? <button class={withPasskey ? '' : 'main'} type="submit" id="approve" disabled={!acts.approve.may} aria-describedby="approve-why">Approve</button> : null}
          </div>
          <input type="hidden" name="passkey" value="" />
          {withPasskey && !withSession ? <noscript><p class="note">A passkey needs JavaScript. Without it you can reject, or ask for less.</p></noscript> : null}
          <Why of={acts.approve} id="approve-why" />
        </>
      ))}
      {deed('reject', (
        <>
          <label for="reject-comment">Why not</label>
          <input type="text" id="reject-comment" name="comment" required maxlength={500} autocomplete="off" value={comment('reject')} disabled={isShut(acts.reject)} aria-describedby="reject-hint" />
          <p class="hint" id="reject-hint">Recorded, and told to who asked.</p>
          <div class="buttons"><button class="bad" type="submit" id="reject" disabled={!acts.reject.may} aria-describedby="reject-why">Reject</button></div>
          <Why of={acts.reject} id="reject-why" isSaid={!acts.approve.may && whyOf(acts.approve) === whyOf(acts.reject)} />
        </>
      ))}
      <details id="reduce-more" open={written?.deed === 'reduce'}>
        <summary>Ask for less</summary>
        {deed('reduce', <Less change={change} may={acts.reduce} chosen={written?.deed === 'reduce' && written.planDigest === change.planDigest ? written : {}} />)}
      </details>
      <details id="stop-more" open={written?.deed === 'withdraw' || written?.deed === 'revoke'}>
        <summary>Stop it, or take it back</summary>
        {deed('withdraw', (
          <>
            <label for="withdraw-comment">Why <span class="note">(if you like)</span></label>
            <input type="text" id="withdraw-comment" name="comment" maxlength={500} autocomplete="off" value={comment('withdraw')} disabled={isShut(acts.withdraw)} />
            <div class="buttons"><button class="bad" type="submit" id="withdraw" disabled={!acts.withdraw.may} aria-describedby="withdraw-why">Withdraw</button></div>
            <Why of={acts.withdraw} id="withdraw-why" or="For who asked, and for owners, on call and security." />
          </>
        ))}
        {deed('revoke', (
          <>
            <label for="revoke-comment">Why <span class="note">(if you like)</span></label>
            <input type="text" id="revoke-comment" name="comment" maxlength={500} autocomplete="off" value={comment('revoke')} disabled={isShut(acts.revoke)} />
            <div class="buttons"><button class="bad" type="submit" id="revoke" disabled={!acts.revoke.may} aria-describedby="revoke-why">Revoke now</button></div>
            <Why of={acts.revoke} id="revoke-why" or="For owners, on call and security. It waits for no approval." />
          </>
        ))}
      </details>
      {mayStand ? <p><a href={changePath(place, change.id, '/standing')} id="stand">Approve the next ones like this</a></p> : null}
    </section>
  );
}

const whyOf = (may: May): string | null => (may.may ? null : may.why);

function Why({ of, id, or, isSaid = false }: { of: May; id: string; or?: string; isSaid?: boolean }) {
  const text = whyOf(of) ?? or;
  return text === undefined ? null : <p class={`why${isSaid ? ' hidden' : ''}`} id={id}>{plain(text)}</p>;
}

/** Shorter times that people say; seconds. */
const TIMES: readonly number[] = [300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 259_200, 604_800];

function Less({ change, may, chosen }: { change: ChangeView; may: May; chosen: WrittenLess }) {
  const left = chosen.without?.split('\n') ?? [];
  const now = change.duration === null ? null : durationSeconds(change.duration);
  // What was ticked of one plan is not ticked of another, whose parts have other places.
  const planned = change.planDigest?.slice(-12) ?? '';
  const shorter = TIMES.filter((seconds) => now !== null && seconds < now);
  return (
    <>
      {change.entitlements.length < 2 || change.kind === 'extend' ? null : (
        <fieldset disabled={!may.may}>
          <legend>Leave out</legend>
          {change.entitlements.map((one, index) => (
            <label class="check"><input type="checkbox" id={`without-${index}-${planned}`} name="without" value={String(index)} checked={left.includes(String(index))} /> {plain(`${one.connector} / ${one.target} / ${one.privilege}${one.scope === undefined ? '' : ` (${one.scope})`}`)}</label>
          ))}
        </fieldset>
      )}
      {now === null ? null : (
        <>
          <label for="reduce-duration">For how long</label>
          <select id="reduce-duration" name="duration" disabled={!may.may || shorter.length === 0}>
            <option value="">{formatLength(now)}, as asked for</option>
            {shorter.map((seconds) => <option value={`PT${seconds}S`} selected={chosen.duration === `PT${seconds}S`}>{formatLength(seconds)}</option>)}
          </select>
        </>
      )}
      <div class="buttons"><button type="submit" id="reduce" disabled={!may.may} aria-describedby="reduce-why">Ask for this instead</button></div>
      <Why of={may} id="reduce-why" or="A new revision: approvals so far are void, and policy decides again. Nothing can be added." />
    </>
  );
}
