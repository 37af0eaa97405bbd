// The style and script of a sweep's page, inlined by sweep_page.cpp.
#pragma once

#include <string_view>

namespace systole::reports {

inline constexpr std::string_view kSweepStyle = R"css(
.plot{display:block;width:100%;height:auto;font-size:12px;touch-action:pan-y}
#parallel{min-width:720px}
.plot text{fill:var(--ink)}.plot .tick{fill:var(--soft);font-size:11px}
.plot .axis{stroke:var(--line)}
.plot .line{fill:none;stroke:var(--soft);stroke-width:1;opacity:.22}
.plot .line.bad{stroke-dasharray:2 4;opacity:.14}
.plot .line.front{stroke:var(--s0);stroke-width:1.4;opacity:.75}
.plot .dot{fill:var(--soft);opacity:.4}.plot .dot.bad{fill:none;stroke:var(--soft);opacity:.35}
.plot .dot.front{fill:var(--s0);opacity:1}
.plot .step{fill:none;stroke:var(--s0);stroke-width:1.2;opacity:.6}
.plot .on.on{stroke:var(--s2);stroke-width:2.6;opacity:1}.plot .dot.on{fill:var(--s2);stroke:var(--card);stroke-width:1}
.plot [data-i]{cursor:pointer}
.controls{display:flex;flex-wrap:wrap;gap:6px 18px;margin:4px 0 10px;font-size:13px;color:var(--soft)}
.controls select{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:4px;padding:2px 4px;max-width:19rem}
.views{display:grid;grid-template-columns:1fr 1fr;gap:14px}.views>section{margin:0;min-width:0}
#point{position:sticky;bottom:0;z-index:2;padding:10px 20px;max-height:38vh;overflow:auto;box-shadow:0 -4px 14px rgba(0,0,0,.12)}
#report{width:min(1320px,96vw);height:94vh;max-width:none;max-height:none;padding:0;border:1px solid var(--line);border-radius:10px;background:var(--page);color:var(--ink);overflow:hidden}
#report::backdrop{background:rgba(0,0,0,.45)}
#report[open]{display:flex;flex-direction:column}
#report .bar{display:flex;flex-wrap:wrap;gap:6px 10px;align-items:center;padding:8px 14px;border-bottom:1px solid var(--line);background:var(--card)}
#report .bar b{flex:1 1 16rem;font-size:14px;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
#report iframe{flex:1 1 auto;border:0;width:100%;min-height:0}
html:has(#report[open]){overflow:hidden}
#point dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:2px 18px;margin:6px 0 8px;font-size:13px}
#point dl div{display:flex;justify-content:space-between;gap:8px;border-bottom:1px solid var(--faint)}
#point dt{color:var(--soft);min-width:0;overflow-wrap:anywhere}#point dd{margin:0;flex:0 0 auto;max-width:60%;overflow-wrap:anywhere;font-variant-numeric:tabular-nums;text-align:right}
.effect{display:grid;grid-template-columns:15rem 1fr 8.5rem;gap:0 10px;align-items:center;font-size:13.5px;min-height:23px}
.effect .name{overflow-wrap:anywhere}
@media (max-width:620px){#report{width:100vw;height:100vh;border:0;border-radius:0;margin:0}#report .bar b{flex-basis:100%}}
@media screen and (max-width:900px){.views{grid-template-columns:1fr}.effect{grid-template-columns:9rem 1fr 7.5rem}}
@media print{#point{display:none}}
)css";

/// Draws from `D`: axes, figures, objectives and points as sweep_page.cpp writes them.
inline constexpr std::string_view kSweepScript = R"js(
const NS="http://www.w3.org/2000/svg",el=(n,a={},t)=>{const e=document.createElementNS(NS,n);for(const k in a)e.setAttribute(k,a[k]);if(t!==undefined)e.textContent=t;return e};
// Figures as reports/format.cpp writes them: D.figures says how each is printed.
const PREFIXES=[[1e15,"P"],[1e12,"T"],[1e9,"G"],[1e6,"M"],[1e3,"k"],[1,""],[1e-3,"m"],[1e-6,"\u00b5"],[1e-9,"n"],[1e-12,"p"]],KIBI=["Pi","Ti","Gi","Mi","Ki"].map((p,i)=>[1024**(5-i),p]);
const rounded=(v,d=3)=>{
  if(v===0)return"0";
  const e=v.toExponential(d-1),power=+e.split("e")[1];
  return power<-4||power>7?e.replace(/e([+-])(\d)$/,"e$10$2"):v.toFixed(Math.max(0,d-1-power));
};
const scaled=(v,unit,list)=>{if(v===0)return("0 "+unit).trim();const[size,p]=list.find(([size])=>Math.abs(v)>=.9995*size)??list.at(-1);return(rounded(v/size)+" "+p+unit).trim()};
const PRINT={
  number:(v,f)=>(rounded(v,f.digits)+" "+f.unit).trim(),
  count:v=>v>=0&&v<1e4&&Number.isInteger(v)?String(v):scaled(v,"",PREFIXES.slice(0,6)),
  share:v=>{const p=100*v;return p===0?"0 %":Math.abs(p)<.05?p>0?"<0.1 %":rounded(p)+" %":(Math.abs(p)<99.95?p.toFixed(1):rounded(p))+" %"},
  time:v=>scaled(v,"s",PREFIXES.slice(5)),
  prefixed:(v,f)=>scaled(v,f.unit,PREFIXES),
  bytes:v=>v>=0&&v<1000?v.toFixed(0)+" B":scaled(v,"B",PREFIXES.slice(0,6)),
  binary:v=>v>=0&&v<1024?v.toFixed(0)+" B":scaled(v,"B",KIBI),
};
const textOf=(k,v)=>{if(v===null)return"\u2013";const f=D.figures[k];return PRINT[f.print](v*f.scale,f)};
const fmt=v=>v===null?"\u2013":Number.isInteger(v)&&Math.abs(v)<1e5?String(v):rounded(v);
const P=D.points,A=D.axes.length,fig=(p,f)=>p.f[f],cls=p=>p.front?"front":p.ok?"":"bad";
const order=P.map((_,i)=>i).filter(i=>i<D.drawn).sort((a,b)=>(P[a].front-P[b].front)||(P[a].ok-P[b].ok));
let pinned=-1;
// Drawn as wide as it is seen, so that texts are as large as others.
const sheet=()=>+document.documentElement.dataset.sheet||0,widthOf=svg=>sheet()?sheet()/2-20:Math.max(300,svg.clientWidth);
// A file's name is enough to know it. A name that is longer than its place ends in dots; all of it is under the pointer.
const CHAR=6.1,plain=v=>v.replace(/^.*\//,"").replace(/\.ya?ml$/,""),cut=(v,most)=>v.length>most?v.slice(0,most-1)+"\u2026":v;
const named=(parent,attributes,v,most)=>{const e=el("text",attributes,cut(plain(v),most));if(e.textContent!==v)e.dataset.tip=v;parent.append(e)};
const span=vs=>{vs=vs.filter(v=>v!==null);let lo=Math.min(...vs),hi=Math.max(...vs);if(!(hi>lo)){hi=lo+(Math.abs(lo)||1);}return[lo,hi]};
// Round numbers from lo to hi: 1, 2 or 5 times a power of ten.
const roundIn=(lo,hi,log)=>{
  const found=[];
  if(!log){const raw=(hi-lo)/4,size=10**Math.floor(Math.log10(raw)),step=[1,2,5,10].find(f=>f*size>=raw*.999)*size;for(let i=Math.ceil(lo/step-1e-9);i*step<=hi+1e-9*step;++i)found.push(+(i*step).toPrecision(12));return found}
  for(let e=Math.floor(Math.log10(lo));e<=Math.log10(hi);++e)for(const f of[1,2,5]){const v=+(f*10**e).toPrecision(12);if(v>=lo&&v<=hi)found.push(v)}
  return found.length>7?found.filter(v=>v.toExponential().startsWith("1e")):found;
};
const scaleOf=(vs,a,b)=>{const[lo,hi]=span(vs);const log=lo>0&&hi/lo>30;const g=log?Math.log:x=>x;const s=v=>a+(b-a)*(g(v)-g(lo))/(g(hi)-g(lo));
  s.ticks=roundIn(lo,hi,log);s.log=log;return s};
function show(i){
  document.querySelectorAll(".on").forEach(e=>e.classList.remove("on"));
  const box=document.getElementById("point");if(i<0){box.hidden=true;return}
  document.querySelectorAll('[data-i="'+i+'"]').forEach(e=>{e.classList.add("on");if(e.tagName!=="tr")e.parentNode.append(e)});
  const p=P[i];box.hidden=false;box.textContent="";
  const h=document.createElement("h4");h.textContent="Point "+p.id+(p.front?", on the front":p.ok?"":", not feasible")+(p.l?"; limited by "+p.l:"");box.append(h);
  const dl=document.createElement("dl");
  const put=(k,v)=>{const d=document.createElement("div"),t=document.createElement("dt"),x=document.createElement("dd");t.textContent=k;x.textContent=v;d.append(t,x);dl.append(d)};
  D.axes.forEach((a,k)=>put(a.name,a.values[p.a[k]]));D.derived.forEach((n,k)=>put(n,Number.isInteger(p.d[k])?String(p.d[k]):fmt(p.d[k])));
  if(!p.done)put("why not",p.m);D.figures.forEach((f,k)=>{if(p.f[k]!==null)put(f.label,textOf(k,p.f[k]))});box.append(dl);
  if(p.r){const open=document.createElement("button");open.type="button";open.dataset.report=p.id;open.textContent="Full report";h.append(" ",open)}
  const t=commandOf(p);
  if(t){const pre=document.createElement("pre"),say=document.createElement("p");pre.textContent=t+" --html point.html";say.className="note";say.textContent="All of this point, operation by operation: run this.";box.append(say,pre)}
}
const commandOf=p=>{let t="";for(const[text,a,d]of D.command){t+=text;if(a!==null)t+=(D.axes[a].words??D.axes[a].values)[p.a[a]];if(d!==null){if(p.d[d]===null)return"";t+=p.d[d]}}return t};
// Full reports: pages with the style and the script of this one, in a window of their own over it.
const own=id=>()=>document.getElementById(id).textContent;
let reports=null;
const reportOf=id=>{
  reports??=JSON.parse(document.getElementById("reports").textContent);
  return reports.pages[id].map(i=>reports.lines[i]).join("\n").replace("\u0001",own("page-style")).replace("\u0002",own("page-script"));
};
const dialog=document.createElement("dialog");
{
  const bar=document.createElement("div"),title=document.createElement("b"),frame=document.createElement("iframe");
  dialog.id="report";bar.className="bar";bar.append(title);frame.title="Full report";
  const put=(text,act)=>{const button=document.createElement("button");button.type="button";button.textContent=text;button.addEventListener("click",act);bar.append(button);return button};
  const link=more=>{const a=document.createElement("a");a.href=URL.createObjectURL(new Blob([frame.srcdoc],{type:"text/html"}));Object.assign(a,more);a.click();setTimeout(()=>URL.revokeObjectURL(a.href),60000)};
  put("Open alone",()=>link({target:"_blank",rel:"noopener"}));
  put("Save",()=>link({download:"point-"+dialog.dataset.point+".html"}));
  const close=put("Close",()=>dialog.close());
  dialog.append(bar,frame);document.body.append(dialog);
  dialog.openOf=id=>{const p=P.find(p=>p.id===+id);title.textContent=["Point "+id,...D.axes.map((a,k)=>a.short+" "+plain(a.values[p.a[k]]))].join(" \u00b7 ");dialog.dataset.point=id;frame.srcdoc=reportOf(id);dialog.showModal();close.focus()};
  dialog.addEventListener("close",()=>frame.srcdoc="");
  // A key goes to the page that has the focus, this one or the report.
  const escape=e=>{if(e.key==="Escape"&&!e.defaultPrevented){e.preventDefault();e.stopPropagation();dialog.close()}};
  dialog.addEventListener("keydown",escape);
  frame.addEventListener("load",()=>{
    const page=frame.contentDocument;page.addEventListener("keydown",escape);
    // What a link within the page leads to: here it would be this page's.
    page.addEventListener("click",e=>{const a=e.target.closest('a[href^="#"]');if(a){e.preventDefault();page.getElementById(a.getAttribute("href").slice(1))?.scrollIntoView()}});
  });
}
document.addEventListener("mouseover",e=>{const t=e.target.closest("[data-i]");if(t&&pinned<0)show(+t.dataset.i)});
document.addEventListener("click",e=>{
  const button=e.target.closest("[data-report]");if(button){dialog.openOf(button.dataset.report);return}
  const t=e.target.closest("[data-i]");if(!t)return;
  const i=+t.dataset.i;if(P[i].r){pinned=i;show(i);dialog.openOf(P[i].id);return}
  pinned=pinned===i?-1:i;show(i);
});
document.addEventListener("keydown",e=>{if(e.key==="Escape"&&!dialog.open){pinned=-1;show(-1)}});
// The table of a figure, for its button.
const tell=(figure,columns,rows)=>document.querySelector("#"+figure+" script.data").textContent=JSON.stringify({columns,texts:{},rows});
const label=f=>D.figures[f].label,column=f=>D.figures[f].name;
const axisValue=(p,k)=>D.axes[k].values[p.a[k]],marks=p=>[p.done?1:0,p.ok?1:0,p.front?1:0];
const MARKS=["done","feasible","front"];
function parallel(){
  const svg=document.getElementById("parallel"),W=sheet()||Math.max(720,svg.clientWidth),H=380,T=46,B=H-26,cols=[];svg.textContent="";svg.setAttribute("viewBox","0 0 "+W+" "+H);
  D.axes.forEach((a,k)=>{const n=a.values.length;cols.push({name:a.short,get:p=>n>1?B-(B-T)*p.a[k]/(n-1):(B+T)/2,ticks:a.values.map((v,j)=>[v,n>1?B-(B-T)*j/(n-1):(B+T)/2]).filter((_,j)=>n<=12||j%Math.ceil(n/12)===0)})});
  D.objectives.forEach(o=>{const s=scaleOf(P.map(p=>p.f[o.figure]),B,T);cols.push({name:label(o.figure),way:o.max?"\u2191":"\u2193",get:p=>p.f[o.figure]===null?null:s(p.f[o.figure]),ticks:s.ticks.map(v=>[textOf(o.figure,v),s(v)])})});
  const x=k=>70+(W-140)*(cols.length>1?k/(cols.length-1):.5),most=Math.floor(((W-140)/Math.max(1,cols.length-1)-16)/CHAR);
  for(const i of order){let d="",pen="M";cols.forEach((c,k)=>{const y=c.get(P[i]);if(y===null)return;d+=pen+x(k).toFixed(1)+" "+y.toFixed(1);pen="L"});svg.append(el("path",{class:"line "+cls(P[i]),d,"data-i":i}))}
  cols.forEach((c,k)=>{svg.append(el("line",{class:"axis",x1:x(k),x2:x(k),y1:T,y2:B,"pointer-events":"none"}));
    const title=c.name+(c.way?" "+c.way:""),wide=x(k)+.6*CHAR*title.length>W;
    svg.append(el("text",{x:wide?W-2:x(k),y:k%2?32:16,"text-anchor":wide?"end":"middle","font-weight":600},title));
    c.ticks.forEach(([t,y])=>named(svg,{class:"tick",x:x(k)+5,y:y+4,"pointer-events":"none",style:"paint-order:stroke;stroke:var(--card);stroke-width:3px"},t,most))});
  tell("axes",["point",...D.axes.map(a=>a.name),...D.objectives.map(o=>column(o.figure)),...MARKS],P.slice(0,D.drawn).map(p=>[p.id,...D.axes.map((_,k)=>axisValue(p,k)),...D.objectives.map(o=>p.f[o.figure]),...marks(p)]));
}
const choose=(id,names,value,redraw)=>{const s=document.getElementById(id);names.forEach((n,k)=>{const o=document.createElement("option");o.value=k;o.textContent=n;s.append(o)});s.value=value;s.addEventListener("change",redraw);return s};
function scatter(){
  const svg=document.getElementById("scatter"),fx=+document.getElementById("sx").value,fy=+document.getElementById("sy").value,W=widthOf(svg),H=Math.min(400,.9*W),L=62,R=W-14,T=14,B=H-46;
  svg.textContent="";svg.setAttribute("viewBox","0 0 "+W+" "+H);
  const has=i=>P[i].f[fx]!==null&&P[i].f[fy]!==null,shown=order.filter(has);if(!shown.length)return;
  const X=scaleOf(shown.map(i=>P[i].f[fx]),L,R),Y=scaleOf(shown.map(i=>P[i].f[fy]),B,T);
  svg.append(el("path",{class:"axis",fill:"none",d:"M"+L+" "+T+"V"+B+"H"+R}));
  X.ticks.forEach(v=>svg.append(el("text",{class:"tick",x:X(v),y:B+16,"text-anchor":X(v)>R-16?"end":X(v)<L+16?"start":"middle"},textOf(fx,v))));
  Y.ticks.forEach(v=>svg.append(el("text",{class:"tick",x:L-6,y:Y(v)+4,"text-anchor":"end"},textOf(fy,v))));
  svg.append(el("text",{x:(L+R)/2,y:H-8,"text-anchor":"middle"},label(fx)+(X.log?", log":"")));
  svg.append(el("text",{x:14,y:(T+B)/2,"text-anchor":"middle",transform:"rotate(-90 14 "+(T+B)/2+")"},label(fy)+(Y.log?", log":"")));
  if(D.objectives.some(o=>o.figure===fx)&&D.objectives.some(o=>o.figure===fy)&&D.objectives.length===2){
    const f=shown.filter(i=>P[i].front).sort((a,b)=>P[a].f[fx]-P[b].f[fx]);svg.append(el("path",{class:"step",d:f.map((i,k)=>(k?"L":"M")+X(P[i].f[fx])+" "+Y(P[i].f[fy])).join("")}))}
  for(const i of shown)svg.append(el("circle",{class:"dot "+cls(P[i]),cx:X(P[i].f[fx]).toFixed(1),cy:Y(P[i].f[fy]).toFixed(1),r:P[i].front?4.5:3,"data-i":i}));
  tell("two",["point",...D.axes.map(a=>a.name),column(fx),column(fy),...MARKS],shown.map(i=>P[i]).sort((a,b)=>a.id-b.id).map(p=>[p.id,...D.axes.map((_,k)=>axisValue(p,k)),p.f[fx],p.f[fy],...marks(p)]));
  if(pinned>=0)show(pinned);
}
function heat(){
  const svg=document.getElementById("heat"),ax=+document.getElementById("hx").value,ay=+document.getElementById("hy").value,f=+document.getElementById("hf").value;
  // Room for the names: lying where they fit beside each other, else slanting.
  const X=D.axes[ax].values,Y=D.axes[ay].values,MOST=22,width=vs=>CHAR*Math.min(MOST,Math.max(...vs.map(v=>plain(v).length)));
  const W=widthOf(svg),H=Math.min(400,1.1*W),L=Math.max(48,28+width(Y),.79*width(X.slice(0,1))-10),R=W-10,T=10,w=(R-L)/X.length,step=Math.ceil(X.length/Math.min(10,Math.floor((R-L)/22))),lies=width(X)+6<=step*w,B=H-32-(lies?14:8+.66*width(X)),h=(B-T)/Y.length;
  svg.textContent="";svg.setAttribute("viewBox","0 0 "+W+" "+H);
  const o=D.objectives.find(o=>o.figure===f),max=o?o.max:false,best=new Map();
  P.forEach((p,i)=>{if(!p.ok||p.f[f]===null)return;const k=p.a[ax]+","+p.a[ay],b=best.get(k);if(b===undefined||(max?p.f[f]>P[b].f[f]:p.f[f]<P[b].f[f]))best.set(k,i)});
  const s=best.size?scaleOf([...best.values()].map(i=>P[i].f[f]),0,1):null;
  X.forEach((xv,cx)=>Y.forEach((yv,cy)=>{const i=best.get(cx+","+cy),x=L+cx*w,y=B-(cy+1)*h;
    if(i===undefined){svg.append(el("rect",{x,y,width:w-1.5,height:h-1.5,fill:"var(--faint)"}));return}
    const q=s(P[i].f[f]),good=max?q:1-q,g=el("g",{"data-i":i});
    g.append(el("rect",{x,y,width:w-1.5,height:h-1.5,style:"fill:color-mix(in srgb,var(--s0) "+Math.round(12+78*good)+"%,var(--card))"}));
    const t=textOf(f,P[i].f[f]),big=w>6.6*t.length;
    if(w>5.5*t.length&&h>16)g.append(el("text",{x:x+w/2,y:y+h/2+4,"text-anchor":"middle","font-size":big?12:10,style:good>.55?"fill:#fff":""},t));svg.append(g)}));
  X.forEach((v,k)=>{if(k%step)return;const x=L+(k+.5)*w,y=B+15;named(svg,lies?{class:"tick",x,y,"text-anchor":"middle"}:{class:"tick",x:x+4,y:y-2,"text-anchor":"end",transform:"rotate(-38 "+(x+4)+" "+(y-2)+")"},v,MOST)});
  Y.forEach((v,k)=>{if(k%Math.ceil(Y.length/16)===0)named(svg,{class:"tick",x:L-6,y:B-(k+.5)*h+4,"text-anchor":"end"},v,MOST)});
  svg.append(el("text",{x:(L+R)/2,y:H-10,"text-anchor":"middle"},D.axes[ax].short));svg.append(el("text",{x:12,y:(T+B)/2,"text-anchor":"middle",transform:"rotate(-90 12 "+(T+B)/2+")"},D.axes[ay].short));
  tell("best-of-two",[D.axes[ax].name,D.axes[ay].name,column(f),"point"],X.flatMap((xv,cx)=>Y.map((yv,cy)=>{const i=best.get(cx+","+cy);return i===undefined?[xv,yv,null,null]:[xv,yv,P[i].f[f],P[i].id]})));
  if(pinned>=0)show(pinned);
}
if(P.length){
  const figures=D.figures.map(f=>f.label),axes=D.axes.map(a=>a.short),one=D.objectives[0].figure,two=D.objectives.length>1?D.objectives[1].figure:one;
  choose("sx",figures,one,scatter);choose("sy",figures,two,scatter);
  choose("hx",axes,0,heat);choose("hy",axes,Math.min(1,A-1),heat);choose("hf",figures,one,heat);
  document.querySelectorAll(".needs-script").forEach(e=>e.hidden=false);
  const draw=()=>{parallel();scatter();heat()};draw();
  // For the printer as wide as the script of every page says.
  addEventListener("beforeprint",draw);addEventListener("afterprint",draw);
  let width=innerWidth;addEventListener("resize",()=>{if(innerWidth!==width){width=innerWidth;draw()}});
}
)js";

}  // namespace systole::reports
