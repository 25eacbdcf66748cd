/** Where the page's one script begins: in the page, or in the worker that the page starts of the same text. */
import { startPage } from './page.ts';
import { serve } from './worker.ts';

if (typeof document === 'undefined') serve();
else startPage(document.currentScript?.textContent ?? '');
