/** The islands: none of them decides anything, and every page is good without them. */
import { keepDrafts } from './drafts.ts';
import { countDown } from './countdown.ts';
import { takeKeys } from './keys.ts';
import { offerPasskey } from './offer-passkey.ts';
import { keepCurrent } from './live.ts';

const fresh = (): void => {
  keepDrafts.restore();
  countDown();
  offerPasskey();
};

keepDrafts.start();
takeKeys();
fresh();
setInterval(countDown, 1_000);
const { stream } = document.body.dataset;
if (stream !== undefined) keepCurrent(stream, fresh);
// What a reload has scrolled past is said to whoever does not see it, and shown to whoever does.
document.getElementById('said')?.focus();
