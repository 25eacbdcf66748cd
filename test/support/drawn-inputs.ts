/**
 * What properties are tried on is drawn anew in each run, and a failure prints its seed. On CI it is the same in each: whether a change lands
 * depends on the change, and not on the draw.
 */
import fc from 'fast-check';

if (process.env['CI'] === 'true') fc.configureGlobal({ seed: 20_261_130 });
