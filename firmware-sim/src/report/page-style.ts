/** Style of all pages; light, dark and print. Colours are the variables, for the plots as well. */
export const pageStyle: string = `
:root {
  color-scheme: light dark;
  --page: #f4f6f8; --card: #ffffff; --ink: #17212b; --soft: #5a6875; --line: #e0e5ea; --shade: #f7f9fa;
  --pass: #12784a; --pass-tint: #e6f5ec; --pass-line: #b5dfc7;
  --fail: #b9262e; --fail-tint: #fdecec; --fail-line: #f2c1c3;
  --warn: #8a5a00; --warn-tint: #fff4dc; --warn-line: #f0d9a5;
  --blue: #1f6feb; --orange: #d9730d; --green: #1a936f; --violet: #8250df; --red: #d1242f; --grey: #7d8b99;
  --band: #f2f5f8; --grid: #e8ecf0; --down: #d1242f;
}
@media (prefers-color-scheme: dark) {
  :root:not(.printing) {
    --page: #0e1318; --card: #161d24; --ink: #e4eaf0; --soft: #98a6b3; --line: #2a343e; --shade: #1a222a;
    --pass: #4fc38a; --pass-tint: #12281e; --pass-line: #24553d;
    --fail: #ff7b80; --fail-tint: #31181b; --fail-line: #6b2c31;
    --warn: #e3b341; --warn-tint: #2b2313; --warn-line: #5b4a1f;
    --blue: #58a6ff; --orange: #f0a04b; --green: #3fc79a; --violet: #b794f6; --red: #ff6b70; --grey: #8795a3;
    --band: #1b242d; --grid: #27313b; --down: #ff6b70;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 1160px; margin: 0 auto; padding: 28px 24px 64px; }
header { margin-bottom: 20px; }
.brand { color: var(--soft); font-size: 13px; letter-spacing: .04em; }
h1 { font-size: 30px; line-height: 1.2; margin: 2px 0 6px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 4px; letter-spacing: -.005em; }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { margin: 0 0 10px; }
.lead { color: var(--soft); max-width: 80ch; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 22px; color: var(--soft); font-size: 14px; margin: 0; padding: 0;
  list-style: none; }
.facts b { color: var(--ink); font-weight: 600; overflow-wrap: anywhere; }
section, .tile, .banner { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
section { padding: 22px 24px 24px; margin-top: 18px; }
.banner { display: flex; gap: 18px; align-items: center; padding: 18px 22px; }
.banner svg { flex: none; width: 44px; height: 44px; }
.banner strong { display: block; font-size: 24px; line-height: 1.2; letter-spacing: .01em; }
.banner p { margin: 2px 0 0; overflow-wrap: anywhere; }
.banner.pass { background: var(--pass-tint); border-color: var(--pass-line); }
.banner.pass strong, .banner.pass svg { color: var(--pass); }
.banner.fail { background: var(--fail-tint); border-color: var(--fail-line); }
.banner.fail strong, .banner.fail svg { color: var(--fail); }
.caution { background: var(--warn-tint); border: 1px solid var(--warn-line); color: var(--warn); border-radius: 10px;
  padding: 10px 16px; margin: 14px 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 12px; margin-top: 14px; }
.tile { padding: 14px 16px; }
.tile .name { color: var(--soft); font-size: 13px; }
.tile .value { font-size: 25px; line-height: 1.25; font-weight: 600; letter-spacing: -.01em;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile .more { color: var(--soft); font-size: 12.5px; }
.table { overflow-x: auto; margin-top: 10px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: 12.5px; white-space: nowrap; vertical-align: bottom; }
tbody tr:last-child td { border-bottom: 0; }
td:last-child, th:last-child { padding-right: 0; }
.number { text-align: right; white-space: nowrap; }
.even .number { width: 5.5em; }
.even th:last-child, .even td:last-child { width: 10em; padding-left: 12px; }
td.name { font-weight: 600; overflow-wrap: anywhere; min-width: 9em; }
td .why { display: block; color: var(--soft); font-weight: 400; font-size: 13px; }
tr.found td { background: var(--fail-tint); }
tr.found td:first-child { box-shadow: inset 3px 0 0 var(--fail); padding-left: 10px; }
tr.group th { padding-top: 14px; text-align: center; border-bottom: 1px solid var(--line); }
.zero { color: var(--pass); }
.some, .worse { color: var(--fail); font-weight: 600; }
.better { color: var(--pass); font-weight: 600; }
.none { color: var(--soft); }
.pill { display: inline-block; border-radius: 999px; padding: 1px 10px; font-size: 12.5px; font-weight: 600;
  border: 1px solid; white-space: nowrap; }
.pill.pass { color: var(--pass); background: var(--pass-tint); border-color: var(--pass-line); }
.pill.fail { color: var(--fail); background: var(--fail-tint); border-color: var(--fail-line); }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 13px; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin: 8px 0 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.examples { list-style: none; margin: 8px 0 0; padding: 0; }
.examples li { display: grid; grid-template-columns: 5em 9.5em 1fr; gap: 10px; padding: 6px 0;
  border-top: 1px solid var(--line); font-size: 13.5px; }
.examples .mono { overflow-wrap: anywhere; }
details { margin-top: 12px; }
td details { margin-top: 0; }
summary { cursor: pointer; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 10px 0 0; font-size: 14px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: 1fr; gap: 26px; margin-top: 14px; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { font-weight: 600; font-size: 14.5px; margin-bottom: 2px; }
figcaption span { color: var(--soft); font-weight: 400; font-size: 13px; margin-left: 8px; }
.plot { min-height: 280px; }
.uplot .u-legend { text-align: left; margin: 2px 0 0 54px; font-size: 13px; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.uplot .u-legend th { color: inherit; font-size: 13px; font-weight: 400; border: 0; padding: 2px; white-space: nowrap; }
.uplot .u-legend td { border: 0; padding: 2px; min-width: 4.5em; font-weight: 600; }
.uplot .u-legend .u-series:first-child td { min-width: 3.5em; }
.uplot .u-legend tr { border: 0; }
.uplot .u-legend .u-marker { width: 12px; height: 3px; border-radius: 2px; margin-right: 6px; }
.u-cursor-x, .u-cursor-y { border-color: var(--grey) !important; }
.u-select { background: color-mix(in srgb, var(--blue) 18%, transparent) !important; }
footer { color: var(--soft); font-size: 13px; margin-top: 22px; }
@media (max-width: 640px) {
  main { padding: 16px 12px 40px; }
  section { padding: 16px 14px; }
  h1 { font-size: 24px; }
  .examples li { grid-template-columns: 1fr; gap: 0; }
  .uplot .u-legend { margin-left: 0; }
}
@media print {
  @page { margin: 14mm; }
  body { background: #fff; font-size: 11px; }
  main { max-width: none; padding: 0; }
  section, .banner, .tile { border-color: #d5dade; break-inside: auto; -webkit-print-color-adjust: exact;
    print-color-adjust: exact; }
  section { padding: 12px 14px; margin-top: 12px; }
  h2, h3 { break-after: avoid; }
  tr, .tile, .banner { break-inside: avoid; }
  table, .facts, dl { font-size: 10.5px; }
  th, td { padding: 3px 7px 3px 0; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .tile .value { font-size: 18px; }
  .table { overflow: visible; }
}
`;
