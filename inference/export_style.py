"""The style sheet of the reports: light and dark, wide and narrow, and on paper."""

STYLE = """\
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1a19;--muted:#565861;--line:#e4e4e7;--grid:#ececef;
--soft:#f6f6f7;--shade:rgba(230,159,0,.13);--alarm:#a4231a;--alarm-soft:#fdecea;
--load:#E69F00;--load-edge:#9A6A00;--import:#F5D48C;--warmup-edge:#8C8400;--wait:#77777d}
@media (prefers-color-scheme:dark){:root{--paper:#131418;--ink:#ededee;--muted:#b4b6bf;--line:#30323a;--grid:#272930;
--soft:#1c1e24;--shade:rgba(230,159,0,.16);--alarm:#ffb4a9;--alarm-soft:#3a1d1a;
--load-edge:#E69F00;--import:#8a6a24;--warmup-edge:#F0E442;--wait:#9a9aa2}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;overflow-wrap:anywhere}
main,footer{max-width:948px;margin:0 auto;padding:0 24px}
main{padding-top:40px}
header{border-bottom:1px solid var(--line);padding-bottom:20px}
body{--strategy:#767676}
.naive{--strategy:#D55E00}.actor{--strategy:#0072B2}.batched{--strategy:#009E73}.pipelined{--strategy:#CC79A7}
.kicker{margin:0;color:var(--muted);font-weight:550}
.mark{display:inline-block;width:11px;height:11px;margin-right:9px;border-radius:2px;background:var(--strategy)}
h1{margin:6px 0 8px;font-size:2rem;line-height:1.2;font-weight:680;letter-spacing:-.015em;text-wrap:balance}
h2{margin:0 0 12px;font-size:1.15rem;font-weight:640}
h3{margin:20px 0 8px;font-size:1rem;font-weight:600}
.lead{margin:0 0 10px;font-size:1.05rem;max-width:46em}
.facts,.note{color:var(--muted);font-size:.875rem}
.facts{margin:0}
.problem{margin:12px 0;padding:10px 14px;border-left:4px solid var(--alarm);background:var(--alarm-soft)}
.tiles{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:12px;margin:24px 0 36px}
.tile{padding:14px 16px;border-radius:8px;background:var(--soft)}
.tile dt{color:var(--muted);font-size:.875rem}
.tile dd{margin:0}
.tile .value{font-size:1.25rem;font-weight:640;line-height:1.3;font-variant-numeric:tabular-nums;white-space:nowrap}
figure{margin:0 0 36px}
figcaption{margin-bottom:10px;font-size:1.15rem;font-weight:640}
figure .note{margin:6px 0 0}
.narrow{display:none}
svg{display:block;width:100%;height:auto;font-size:12.5px;font-family:inherit}
svg text{fill:var(--muted)}
svg .label,svg .name{fill:var(--ink);stroke:var(--paper);stroke-width:3px;paint-order:stroke;stroke-linejoin:round}
svg .name{font-size:13.5px}
svg .grid{stroke:var(--grid)}
svg .axis{stroke:var(--muted)}
svg .setup{fill:var(--shade)}
svg .area{fill:var(--strategy);opacity:.16}
svg .line{fill:none;stroke:var(--strategy);stroke-width:2.25;stroke-linejoin:round}
svg .mark{fill:var(--strategy);stroke:var(--paper);stroke-width:.75}
svg .dash-1{stroke-dasharray:7 3}svg .dash-2{stroke-dasharray:2 3}svg .dash-3{stroke-dasharray:9 3 2 3}
svg .share{fill:var(--strategy)}
svg .share.other{fill:none;stroke:var(--strategy);stroke-width:2}
svg .average{stroke:var(--muted);stroke-width:1.5;stroke-dasharray:6 4}
svg .phase{stroke-width:1}
svg .load{fill:var(--load);stroke:var(--load-edge)}
svg .import{fill:var(--import);stroke:var(--load-edge)}
svg .warmup{fill:#F0E442;stroke:var(--warmup-edge)}
svg .start{fill:#c4c4c4;stroke:#7a7a7a}
svg .read{fill:#bfe0f4;stroke:#3d86b5}
svg .preprocess{fill:#56b4e9;stroke:#2f7fb0}
svg .forward{fill:var(--strategy);stroke:var(--strategy)}
svg .postprocess{fill:#d9cbe8;stroke:#8a6fb0}
svg .wait{fill:none;stroke:var(--wait);stroke-width:1.5;stroke-dasharray:4 3}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;list-style:none;font-size:.875rem}
.legend .swatch{display:inline-block;width:auto;height:14px;margin-right:7px;vertical-align:-2px}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:20px 16px}
.pictures figure{margin:0}
.pictures img{display:block;width:100%;border-radius:6px}
.pictures .missing{display:grid;place-items:center;aspect-ratio:4/3;border:1px dashed var(--muted);border-radius:6px;
color:var(--muted);font-size:.875rem}
.pictures figcaption{margin:6px 0 0;font-size:.875rem;font-weight:400}
.pictures p{margin:2px 0 0}
section{border-top:1px solid var(--line);padding:26px 0 20px}
.whole{white-space:nowrap}
.pairs,.settings{margin:0}
.pairs>div{display:grid;grid-template-columns:120px minmax(0,1fr);gap:20px;padding:4px 0}
.settings{display:grid;grid-template-columns:repeat(5,minmax(0,1fr));gap:16px 20px}
.pairs dt,.settings dt{color:var(--muted)}
.settings dt{font-size:.875rem}
.pairs dd,.settings dd{margin:0}
.pairs .note{display:block}
table{width:100%;border-collapse:collapse;font-size:.9375rem}
th,td{padding:7px 16px 7px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{color:var(--muted);font-size:.875rem;font-weight:550}
tbody tr:last-child>*{border-bottom:0}
tbody th{font-weight:550;white-space:nowrap}
.number,.score{font-variant-numeric:tabular-nums;white-space:nowrap}
.image{min-width:12em}
.sides td{font-variant-numeric:tabular-nums;white-space:nowrap}
.sides th[scope=col]{overflow-wrap:normal}
.sides th[scope=row]{white-space:normal;min-width:8em;max-width:15em}
.sides .note{display:block}
.badge{padding:0 6px;border:1px solid currentColor;border-radius:4px;color:var(--alarm);font-size:.8125rem;
white-space:nowrap}
ul{margin:0;padding-left:1.2em}
footer{padding-top:18px;padding-bottom:48px;color:var(--muted);font-size:.875rem;border-top:1px solid var(--line)}
@media (max-width:900px){.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}}
@media (max-width:700px){
.sides td{white-space:normal}
main,footer{padding-left:16px;padding-right:16px}
main{padding-top:24px}
h1{font-size:1.55rem}
.tiles{gap:8px;margin-bottom:28px}
.tile{padding:10px 12px}
.tile .value{font-size:1.1rem}
.settings{grid-template-columns:repeat(2,minmax(0,1fr))}
.wide{display:none}
.narrow{display:block;max-width:480px}
.pairs>div{display:block;padding:0 0 10px}
.figures thead,.predictions thead,.sides thead{
position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.figures tr{display:grid;grid-template-columns:1fr auto;padding:8px 0;border-bottom:1px solid var(--line)}
.figures th,.figures td{padding:0;border:0}
.figures .note{grid-column:1/-1}
.figures tr:last-child,.predictions tr:last-child{border-bottom:0}
.predictions tr{display:grid;grid-template-columns:1fr 1fr auto;gap:0 12px;padding:8px 0;
border-bottom:1px solid var(--line)}
.sides tr{display:grid;grid-template-columns:1fr 1fr;gap:8px 16px;padding:12px 0;border-bottom:1px solid var(--line)}
.sides tr:last-child{border-bottom:0}
.sides th,.sides td,.sides th[scope=row]{padding:0;border:0;max-width:none}
.sides th{grid-column:1/-1}
.sides td::before{content:attr(data-name);display:block;color:var(--muted);font-size:.875rem}
.predictions td{padding:0;border:0;min-width:0}
.predictions .image,.predictions .reason{grid-column:1/-1}
.predictions .image{color:var(--muted);font-size:.875rem}
.predictions .label{grid-column:1/3}
.predictions .truth::before{content:"truth: ";color:var(--muted)}
.predictions .status::before{content:"status: ";color:var(--muted)}
.predictions .truth{grid-column:1}
.predictions .status{grid-column:2/-1;justify-self:end}
.predictions .reason:empty{display:none}
}
@media print{section{break-inside:auto}figure,tr{break-inside:avoid}main,footer{max-width:none;padding:0}
body{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
