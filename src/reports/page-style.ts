/** How a report looks, on a screen and on paper. Colours are those of the verifier page. */

/** @param size and `root` (hex) are digits: they stand on each printed page, and nothing else of the evidence is in the style */
export function styleOf(title: string, size: number, root: string): string {
  if (!/^[0-9a-f]{64}$/.test(root) || !Number.isSafeInteger(size) || !/^[A-Za-z ,]+$/.test(title)) throw new RangeError('what is printed on each page is digits and a title of ours');
  return `${STYLE}
@page { size: A4 landscape; margin: 16mm 12mm 18mm; font: 8pt/1.3 system-ui, sans-serif; color: #444;
  @top-left { content: "Countersign · ${title}"; } @top-right { content: "page " counter(page) " of " counter(pages); }
  @bottom-left { content: "ledger of ${size} records, root ${root}"; font: 7pt/1.3 ui-monospace, monospace; } }
`;
}

const STYLE = `:root {
  color-scheme: light dark;
  --text: light-dark(#1b1f24, #e6e9ed); --soft: light-dark(#59636e, #9aa5b1); --page: light-dark(#ffffff, #14171b); --raised: light-dark(#f5f6f8, #1d2228); --line: light-dark(#d3d8de, #39414a);
  --accent: light-dark(#0b57b7, #7fb2ff); --track: light-dark(#e3e7ec, #2a3038);
  --good: light-dark(#116329, #6fdd8b); --good-back: light-dark(#e3f6e8, #12301b); --bad: light-dark(#a40e26, #ff9aa2); --bad-back: light-dark(#fdeaec, #3a151a); --open: light-dark(#6f4a00, #f0c674); --open-back: light-dark(#fdf4de, #33280f);
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.75rem 1.5rem 3rem; max-width: 88rem; color: var(--text); background: var(--page); font: .95rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
.brand { margin: 0; color: var(--soft); font-weight: 600; letter-spacing: .02em; }
h1 { margin: .1rem 0 .5rem; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 2.25rem 0 .6rem; font-size: 1.15rem; }
h3 { margin: 0 0 .5rem; font-size: .95rem; }
p, ul { max-width: 60rem; }
header p { margin: .25rem 0; }
code, .hex { font: .875em/1.5 ui-monospace, monospace; }
pre { margin: .5rem 0; padding: .7rem .9rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--raised); white-space: pre-wrap; }
.banner { margin: 1.25rem 0 1rem; padding: .8rem 1.1rem; border: 1px solid currentColor; border-left-width: .5rem; border-radius: .5rem; }
.banner strong { display: block; font-size: 1.2rem; line-height: 1.3; }
.banner p { margin: .2rem 0 0; }
.good { color: var(--good); background: var(--good-back); } .bad { color: var(--bad); background: var(--bad-back); } .open { color: var(--open); background: var(--open-back); }
.status { display: inline-block; padding: 0 .5rem; border-radius: .3rem; font-weight: 600; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .2rem 1.2rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem 2.5rem; align-items: start; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .75rem; margin: 0 0 1.25rem; padding: 0; list-style: none; max-width: none; }
.tiles li { display: flex; flex-direction: column; padding: .7rem .9rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--raised); break-inside: avoid; }
.tiles .n { font-size: 1.6rem; font-weight: 650; line-height: 1.2; }
.n { font-variant-numeric: tabular-nums; }
.key { color: var(--soft); font: .78rem/1.4 ui-monospace, monospace; }
.tiles .key { margin-top: auto; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 36rem), 1fr)); gap: 1.5rem 2.5rem; }
.charts section { break-inside: avoid; } .pair > *, .charts > * { min-width: 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
caption { padding: 0 0 .6rem; text-align: left; font-weight: 600; font-size: 1.05rem; }
th, td { padding: .5rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { background: var(--raised); white-space: nowrap; }
tbody th { font-weight: 600; min-width: 9rem; } tbody th .cell + .cell { font-weight: 400; }
time { white-space: nowrap; } .verdicts th { white-space: nowrap; min-width: 0; }
.chart td, .chart th { padding: .18rem .5rem .18rem 0; border: 0; } .chart th { font-weight: 400; } .chart .n, .chart thead th:nth-child(3) { text-align: right; padding-right: .8rem; }
.chart thead th { background: none; color: var(--soft); font-size: .8rem; } .chart .track { width: 35%; min-width: 5rem; vertical-align: middle; }
.chart th { min-width: 0; overflow-wrap: normal; }
svg { display: block; width: 100%; height: .7rem; border-radius: .2rem; } .back { fill: var(--track); } .fill { fill: var(--accent); } .fill.excess { fill: var(--bad); } .fill.used { fill: var(--good); }
.scroll { overflow-x: auto; } .scroll td { min-width: 6.5rem; } .scroll:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.l { color: var(--soft); font-size: .92em; } .r { color: var(--soft); font: .85em/1.4 ui-monospace, monospace; font-weight: 400; }
.cell { display: block; } .t { white-space: nowrap; } .bars { display: grid; grid-template-columns: max-content minmax(5rem, 1fr) max-content; gap: .1rem .6rem; align-items: center; min-width: 14rem; }
.fault { margin: .3rem 0 0; padding: .15rem .45rem; border-radius: .3rem; font-weight: 400; font-size: .92em; }
@media (max-width: 40rem) { .verdicts th, .verdicts td { padding: .4rem .35rem; } .verdicts .status { white-space: normal; } .chart .track, .chart thead th:nth-child(2) { display: none; } }
@media screen and (max-width: 52rem) { .scroll table { min-width: 52rem; } }
tr.at-fault > th { border-left: .3rem solid var(--bad); }
footer { margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .88rem; }
@media print {
  :root { color-scheme: light; font-size: 11.5px; } body { max-width: none; padding: 0; } h2 { break-after: avoid; } .rows { break-before: page; } .scroll { overflow: visible; }
  thead { display: table-header-group; } tr { break-inside: avoid; } .status, .banner, .back, .fill, thead th, .tiles li, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  th, td { padding: .25rem .4rem; }
}`;
