/** What the shared source expects around it, put in before anything of it runs: Node's Buffer; and of Zod that it makes no code of text, which the page's policy forbids. */
import { config } from 'zod';

export { Buffer } from 'buffer/index.js';

config({ jitless: true });
