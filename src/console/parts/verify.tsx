/** What one takes home to verify what is shown: an evidence pack of a change, and the page that checks it with the network unplugged. */
import type { ConsoleContext, Place } from '../context.ts';
import type { Session } from '../sessions.ts';

/** `change`: of which; null: she says. */
export function VerifyYourself({ context: { verifier }, place, session, change, written = '' }: { context: ConsoleContext; place: Place; session: Session; change: string | null; written?: string }) {
  return (
    <section id="verify" aria-labelledby="verify-title">
      <h2 id="verify-title">Verify it yourself</h2>
      <p>This console shows what the sidecar says. What verifies it is a file on your own disk, with a trust folder that you keep and the network unplugged.</p>
      <ol class="steps">
        <li>
          <form method="post" action={`/ledger/${place.name}/pack`}>
            <input type="hidden" name="formKey" value={session.formKey} />
            {change === null
              ? <><label for="pack-change">Evidence pack of a change</label><input type="text" id="pack-change" name="change" required maxlength={64} autocomplete="off" spellcheck={false} placeholder="chg_…" value={written} /></>
              : <input type="hidden" name="change" value={change} />}
            <div class="buttons"><button type="submit">Save the evidence pack</button></div>
          </form>
        </li>
        <li>
          {verifier === null
            ? <p>This installation has no verifier page: <code>npm run verifier:build</code></p>
            : <>
              <p><a class="button" href="/verifier.html" download>Save the verifier page</a></p>
              <p class="meta">SHA-256 of this copy <code>{verifier.sha256}</code></p>
              <p class="note">Compare what <code>sha256sum verifier.html</code> prints with the number that was published with the release, not with the one here: whoever could give you another page could give you its number.</p>
            </>}
        </li>
        <li><p>Open the page from disk, choose the pack and your trust folder, and press <em>Verify</em>. Or: <code>countersign verify PACK --trust FOLDER</code></p></li>
      </ol>
    </section>
  );
}
