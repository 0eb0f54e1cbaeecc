"""The page's style sheet: quiet, legible on a phone and on paper, light or dark as the reader's system is.

Blue, orange and green are told apart by colour-blind readers too (after Okabe and Ito 2008, darkened or lightened until
text in them has a contrast of at least 4.5 to 1).
"""

__all__ = ["STYLE"]

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1e23;--muted:#5c636e;--grid:#e4e6ea;--rule:#c9cdd3;--wash:#f5f6f8;
--c1:#0068a5;--c2:#b94a00;--c3:#00755a;--alarm:#a8174b;--quiet:#6b727d}
@media (prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e8eaed;--muted:#a0a7b2;--grid:#292d34;--rule:#434952;
--wash:#1c1f25;--c1:#62b5ea;--c2:#f2a154;--c3:#3fc49b;--alarm:#ff7da5;--quiet:#8f96a1}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main{max-width:1120px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:34px;line-height:1.15;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
h1 .version{color:var(--muted);font-weight:400}
h2{font-size:20px;margin:44px 0 6px;padding-top:14px;border-top:2px solid var(--ink)}
h3{font-size:15px;margin:14px 0 4px}
p{margin:6px 0 12px;max-width:75ch}
.kicker{margin:0;color:var(--muted);font-size:13px}
.facts,.note,small,summary{color:var(--muted)}
.note,.choices{font-size:13px;line-height:1.45}
.lead{font-size:21px;line-height:1.4;margin:22px 0 18px;max-width:60ch}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:14px 28px}
.tile{border-top:1px solid var(--rule);padding-top:8px}
.tile b{display:block;font-size:26px;line-height:1.2;font-weight:600}
.tile span{color:var(--muted);font-size:13px;line-height:1.4;display:block}
.findings{list-style:none;margin:22px 0 0;padding:0;max-width:80ch}
.findings li{padding:5px 0 5px 26px;position:relative;overflow-wrap:anywhere}
.findings li::before{content:"i";position:absolute;left:0;top:8px;width:16px;height:16px;border-radius:50%;
border:1.5px solid var(--muted);color:var(--muted);font:600 11px/13px Georgia,serif;text-align:center}
.findings .warning::before{content:"!";border-color:var(--alarm);color:var(--alarm);font-family:inherit}
.choices{color:var(--muted);padding-left:18px;margin:14px 0}
.cuts{display:flex;gap:2px;margin:14px 0 18px}
.cuts div{flex-basis:0;min-width:96px;padding:7px 0 0;border-top:10px solid;overflow:hidden;font-size:13px;
line-height:1.35}
.cuts b,.cuts span,.cuts small{display:block;padding-right:8px}
.cuts b,.cuts span{color:var(--ink)}
.cuts .c1{border-color:var(--c1)}.cuts .c2{border-color:var(--c2)}.cuts .c3{border-color:var(--c3)}
.scroll{overflow-x:auto;margin:8px 0}
table{border-collapse:collapse;font-size:13px;line-height:1.35}
th{font-weight:500;color:var(--muted);text-align:left;white-space:nowrap;vertical-align:bottom}
th,td{padding:4px 16px 4px 0;border-bottom:1px solid var(--grid)}
td.n,th.n{text-align:right;white-space:nowrap}
td:first-child{overflow-wrap:anywhere;min-width:9em;max-width:280px}
.settings td:last-child{overflow-wrap:anywhere;padding-right:0}
.settings table{width:100%}.grid.settings{display:block;columns:300px 3;column-gap:34px}
.settings>div{break-inside:avoid;padding-bottom:16px}.settings h3{margin-top:0}
code,pre{font:12px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:var(--wash);padding:10px 12px;margin:0 0 14px;white-space:pre-wrap;overflow-wrap:anywhere}
summary{cursor:pointer;margin:10px 0}
.spark{width:130px}
figure{margin:14px 0 6px;min-width:0}
figcaption{overflow-wrap:anywhere}
.grid,.two,.wide-first{display:grid;gap:10px 34px}
.grid{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}
.two{grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}
.wide-first{grid-template-columns:minmax(0,2fr) minmax(0,1fr)}
.grid>*,.two>*,.wide-first>*{min-width:0}
.key{display:flex;flex-wrap:wrap;gap:2px 18px;margin:4px 0;font-size:13px;color:var(--muted)}
.entry{display:inline-flex;align-items:center;gap:6px}
.mark{width:18px;height:0;border-top:2.5px solid}
.mark.block{height:10px;border:0;background:currentColor;opacity:.4}
.mark.dotted{border-top-style:dotted}
.panel{margin:10px 0 -2px;font-size:13px}
svg{display:block;overflow:visible}
.plot text{font-size:11.5px;fill:var(--muted);paint-order:stroke;stroke:var(--paper);stroke-width:3px;
stroke-linejoin:round}
.plot .middle{text-anchor:middle}.plot .end{text-anchor:end}
.plot .strong{font-weight:600;font-size:12.5px}
.grid-line,.plot .grid{display:inline;stroke:var(--grid);fill:none;vector-effect:non-scaling-stroke}
.plot .base{stroke:var(--rule);vector-effect:non-scaling-stroke}
.line{fill:none;stroke-width:1.6;vector-effect:non-scaling-stroke;stroke-linejoin:round;stroke-linecap:round}
.line.thin{stroke-width:1.3}.line.broad{stroke-width:3;stroke-opacity:.45}
.mark.broad{opacity:.5;border-top-width:4px}.line.level{stroke-dasharray:4 4;stroke-width:1.1}
.line.dotted{stroke-dasharray:.1 4}
.spark .line{stroke-width:1}
.area{stroke:none;fill-opacity:.4}.area.quiet{fill-opacity:.16}.area.faint{fill-opacity:.16}
.line.ink,.mark.ink{stroke:var(--ink);color:var(--ink)}
.line.c1,.mark.c1{stroke:var(--c1);color:var(--c1)}.area.c1,.dot.c1,.plot text.c1{fill:var(--c1)}
.line.c2,.mark.c2{stroke:var(--c2);color:var(--c2)}.area.c2,.dot.c2,.plot text.c2{fill:var(--c2)}
.line.c3,.mark.c3{stroke:var(--c3);color:var(--c3)}.area.c3,.dot.c3,.plot text.c3{fill:var(--c3)}
.line.quiet,.mark.quiet{stroke:var(--quiet);color:var(--quiet)}.area.quiet{fill:var(--quiet)}
.line.alarm{stroke:var(--alarm)}.plot text.alarm{fill:var(--alarm)}
.dot{stroke:var(--paper);stroke-width:1.5}
.touch{fill:transparent}
.heat .cell{fill:var(--c1)}.plot.heat text{stroke:none;fill:var(--ink)}.plot .value{font-size:12.5px;font-weight:600}
footer{margin-top:44px;color:var(--muted);font-size:13px}
@media (max-width:720px){main{padding:18px 16px 32px}h1{font-size:27px}.lead{font-size:18px}
.wide-first{grid-template-columns:minmax(0,1fr)}.tiles{grid-template-columns:1fr 1fr}.cuts small{display:none}}
@media print{:root{--paper:#fff;--ink:#000;--muted:#444;--grid:#ddd;--rule:#aaa;--wash:#f5f5f5;
--c1:#0068a5;--c2:#b94a00;--c3:#00755a;--alarm:#a8174b;--quiet:#6b727d}main{max-width:none;padding:0}figure,tr,.tile{break-inside:avoid}
h2{break-after:avoid}.scroll{overflow:visible}
.two{grid-template-columns:1fr 1fr}.tiles{grid-template-columns:repeat(4,1fr)}
.plot text{font-size:10px}th,td{padding-right:9px}}
""".strip()
