/** What is left until a time goes down as it does. */
import { formatSpan } from '../../protocol/plain.ts';

const SOON_MS = 900_000;

export function countDown(): void {
  for (const time of document.querySelectorAll<HTMLElement>('[data-until]')) {
    const { until = '', what = '' } = time.dataset;
    const leftMs = Date.parse(until) - Date.now();
    const text = leftMs <= 0 ? `${what}: over` : `${what}: ${formatSpan(leftMs)} left`;
    if (time.textContent !== text) time.textContent = text;
    time.classList.toggle('soon', leftMs < SOON_MS);
  }
}
