/** The verification beside the page: its own script once more, in a worker, so that the page stays alive and a cancelled verification is gone. */
import { verifyGiven, type Answer, type Given } from './verify-given.ts';

export type Told = { readonly done: number; readonly size: number } | { readonly answer: Answer };

const PROGRESS_EVERY_MS = 100;

/** Run as the worker. */
export function serve(): void {
  const tell = (told: Told): void => postMessage(told);
  self.addEventListener('message', ({ data }: MessageEvent<Given>) => {
    let toldMs = 0;
    void verifyGiven(data, (done, size) => {
      const nowMs = performance.now();
      if (nowMs - toldMs < PROGRESS_EVERY_MS) return;
      toldMs = nowMs;
      tell({ done, size });
    }).then((answer) => tell({ answer }));
  });
}

/** @param script the text of the page's script. @returns what ends it: no answer comes any more */
export function verifyBeside(script: string, given: Given, progress: (done: number, size: number) => void, answered: (answer: Answer) => void): () => void {
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const worker = new Worker(url);
  const end = (): void => {
    worker.terminate();
    URL.revokeObjectURL(url);
  };
  const finish = (answer: Answer): void => {
    end();
    answered(answer);
  };
  worker.addEventListener('message', ({ data }: MessageEvent<Told>) => ('answer' in data ? finish(data.answer) : progress(data.done, data.size)));
  worker.addEventListener('error', ({ message }) => finish({ kind: 'trouble', exit: 4, cause: `the verification ended by itself: ${message}` }));
  worker.postMessage(given);
  return end;
}
