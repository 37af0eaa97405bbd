// The page's style and its only script, inlined by html.cpp. Series colours are those of Okabe and
// Ito ("Color Universal Design", 2008), made lighter for the dark scheme; every colour has a text
// beside it.
#pragma once

#include <string_view>

namespace systole::reports {

inline constexpr std::string_view kPageStyle = R"css(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#16191d;--soft:#565d68;--line:#dfe3e8;--faint:#eef0f3;
--s0:#0072b2;--s1:#56b4e9;--s2:#d55e00;--s3:#e69f00;--s4:#cc79a7;--s5:#8c9199;--s6:#009e73;--s7:#7a5c3e;--accent:#0072b2}
@media (prefers-color-scheme:dark){:root{--page:#121417;--card:#1b1e23;--ink:#e9ecf0;--soft:#a2aab6;--line:#343a43;--faint:#252a31;
--s0:#3d96d6;--s1:#9bd3f5;--s2:#ee7733;--s3:#f2b544;--s4:#dd9bc0;--s5:#9aa1ab;--s6:#2fc296;--s7:#b08f6c;--accent:#6db8ee}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;
-webkit-text-size-adjust:100%}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:21px;line-height:1.3;margin:40px 0 2px;letter-spacing:-.01em;overflow-wrap:anywhere}
h3{font-size:16px;margin:0 0 2px}
h4{font-size:14px;margin:18px 0 6px;font-weight:600}
h4:first-child{margin-top:0}
p{margin:0 0 10px}
a{color:var(--accent)}
.sub,.note{color:var(--soft)}
.note{font-size:13px;max-width:80ch}
nav{margin:10px 0 0;display:flex;flex-wrap:wrap;gap:4px 18px}
section,details{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:18px 20px;margin:14px 0}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:0;padding:0;overflow:hidden}
.tile{padding:14px 18px;box-shadow:0 0 0 .5px var(--line);min-width:0}
.tile .label{color:var(--soft);font-size:13px}
.tile .value{font-size:25px;font-weight:600;line-height:1.25;white-space:nowrap;letter-spacing:-.01em}
.tile .detail{color:var(--soft);font-size:12.5px;overflow-wrap:anywhere}
.two{display:grid;grid-template-columns:1fr 1fr;gap:14px}
.two>section{margin:0;min-width:0}
.compared>section:last-child:nth-child(odd){grid-column:1/-1}
.row{display:grid;grid-template-columns:10.5rem 1fr 4.8rem 3.9rem 6.2rem;gap:0 10px;align-items:center;min-height:23px;font-size:13.5px}
.row.short{grid-template-columns:9.8rem 1fr 4.6rem 3.7rem}
.compared .row.short{grid-template-columns:11.2rem 1fr 4.3rem 3.3rem;font-size:13px}
.row .name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.compared .row .name{white-space:normal;overflow-wrap:anywhere;line-height:1.25;padding:3px 0}
.num{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.dim{color:var(--soft)}
.bound{color:var(--soft);white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
svg.bar{display:block;width:100%;height:14px;background:var(--faint);border-radius:2px}
svg.bar.tall{height:22px}
svg.bar rect{stroke:var(--card);stroke-width:1;vector-effect:non-scaling-stroke}
svg.bar rect.thin{stroke:none}
svg.swatch{width:11px;height:11px;margin-right:6px;vertical-align:-1px}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}.s4{fill:var(--s4)}.s5{fill:var(--s5)}.s6{fill:var(--s6)}.s7{fill:var(--s7)}
.light{opacity:.45}
ul.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 18px;padding:0;margin:6px 0 12px;font-size:13px}
ul.legend li{white-space:nowrap}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:left;vertical-align:baseline}
th:first-child,td:first-child{padding-left:0}
th:last-child,td:last-child{padding-right:0}
tbody tr:last-child>*{border-bottom:0}
th{font-weight:600;color:var(--soft);white-space:nowrap}
th.sorts{cursor:pointer}
th.sorts:hover{color:var(--ink)}
th[aria-sort=ascending]::after{content:" \2191"}
th[aria-sort=descending]::after{content:" \2193"}
tbody th{color:var(--ink);font-weight:400}
td.num,th.num{text-align:right}
td.best{font-weight:650}
td .ratio{display:inline-block;min-width:4.4em;color:var(--soft);font-size:12px;font-weight:400}
table.operations th{white-space:normal;vertical-align:bottom;line-height:1.25}
table.operations td{white-space:nowrap}
table.operations th,table.operations td{padding-left:6px;padding-right:6px}
table.operations th:first-child,table.operations td:first-child{padding-left:0;position:sticky;left:0;background:var(--card)}
table.sides th.num{white-space:normal;max-width:11rem;overflow-wrap:anywhere}
table.sides th:first-child{position:sticky;left:0;background:var(--card);padding-right:14px}
.pairs td{overflow-wrap:anywhere}
.pairs th{white-space:normal;overflow-wrap:anywhere;width:34%}
summary{cursor:pointer;font-weight:600;font-size:16px}
details[open]>summary{margin-bottom:10px}
pre{margin:0;padding:12px 14px;background:var(--faint);border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
.paper .row{grid-template-columns:minmax(5.5rem,8.5rem) 1fr auto auto auto;gap:0 12px;margin:5px 0}
.paper .row .num{width:calc(var(--figure) + 1ch)}
.paper svg.bar{height:6px;margin:1px 0}
.paper .row .name{white-space:normal;overflow-wrap:anywhere;line-height:1.25}
.paper .row.wrong{opacity:.55}
.paper .two{margin:14px 0}
svg.roofline{display:block;width:100%;min-width:720px;height:auto;font-size:12px}
.roofline text{fill:var(--ink)}
.roofline .tick,.roofline .axis{fill:var(--soft)}
.roofline .rooftext{fill:var(--soft);font-weight:600}
.roofline .grid{stroke:var(--line);stroke-width:1}
.roofline .roof{fill:none;stroke:var(--ink);stroke-width:2;stroke-linejoin:round}
.roofline .under{fill:var(--faint);opacity:.6}
.roofline .ceiling{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 4}
.roofline .ridge{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 4}
.roofline .leader{stroke:var(--soft);stroke-width:.8}
.roofline .point{stroke:var(--card);stroke-width:1.2;fill-opacity:.9}
.roofline .label{paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}
.p0{fill:var(--s0)}.p1{fill:var(--s2)}
footer{padding-top:10px;padding-bottom:36px;color:var(--soft);font-size:13px}
@media (max-width:900px){.two{grid-template-columns:1fr}.tiles{grid-template-columns:1fr 1fr}}
@media (max-width:620px){main,header,footer{padding-left:14px;padding-right:14px}section,details{padding:14px}.tiles{padding:0}.tile{padding:12px 14px}.tile .value{font-size:21px}
.row,.row.short,.compared .row.short{grid-template-columns:minmax(0,1fr) auto auto;gap:0 10px;margin-bottom:7px}.row .track{grid-column:1/-1;grid-row:2}.row .bound{display:none}h1{font-size:22px}h2{font-size:19px}}
@media print{:root{--page:#fff}body{font-size:12px}section,details,.tile{break-inside:avoid}details:has(table){break-inside:auto}svg.roofline{min-width:0}nav{display:none}}
)css";

/// Sorts a table by the column whose heading is clicked, and opens every section before printing.
inline constexpr std::string_view kPageScript = R"js(
for(const table of document.querySelectorAll("table.sortable")){
  const heads=[...table.tHead.rows[0].cells];
  heads.forEach((head,column)=>{
    head.classList.add("sorts");head.tabIndex=0;
    const sort=()=>{
      const down=head.getAttribute("aria-sort")!=="descending"&&(head.classList.contains("num")||head.getAttribute("aria-sort")==="ascending");
      heads.forEach(other=>other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort",down?"descending":"ascending");
      const key=row=>row.cells[column].dataset.v??row.cells[column].textContent;
      const rows=[...table.tBodies[0].rows];
      rows.sort((a,b)=>{const x=key(a),y=key(b);const order=head.classList.contains("num")?(+x)-(+y):x.localeCompare(y);return down?-order:order});
      table.tBodies[0].append(...rows);
    };
    head.addEventListener("click",sort);
    head.addEventListener("keydown",event=>{if(event.key==="Enter")sort()});
  });
}
addEventListener("beforeprint",()=>document.querySelectorAll("details").forEach(part=>part.open=true));
)js";

}  // namespace systole::reports
