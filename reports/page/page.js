// The script of every page. The page is complete without it: it sorts, searches, zooms and saves.
(()=>{
"use strict";
const $$=(selector,root=document)=>[...root.querySelectorAll(selector)];
const make=(name,attributes={},...children)=>{const element=document.createElement(name);for(const key in attributes)element.setAttribute(key,attributes[key]);element.append(...children);return element};

// --- light, dark, or what the system says; print
{
  const root=document.documentElement,names={"light dark":"\u25d0 auto","light":"\u2600 light","dark":"\u263e dark"},keys=Object.keys(names);
  let now=0;
  try{now=Math.max(0,keys.indexOf(localStorage.getItem("systole-scheme")))}catch{}
  const tools=make("div",{class:"page-tools"}),button=make("button",{type:"button",id:"scheme","aria-label":"colour scheme"});
  const show=()=>{root.style.colorScheme=now?keys[now]:"";button.textContent=names[keys[now]]};
  button.addEventListener("click",()=>{now=(now+1)%3;show();try{localStorage.setItem("systole-scheme",keys[now])}catch{}});
  const print=make("button",{type:"button"},"Print");print.addEventListener("click",()=>window.print());
  show();tools.append(button,print);document.querySelector("header").append(tools);
}

// --- paper: what is folded is opened, what is drawn is drawn for a sheet, and all is as before afterwards
// `sheet` is the width in CSS pixels that page.css prints at, less what stands around a figure; 0 on the screen.
let sheet=0;
const forPaper=[];
{
  const root=document.documentElement;let opened=[];
  const turn=width=>{sheet=width;root.classList.toggle("printing",width>0);if(width)root.dataset.sheet=width;else delete root.dataset.sheet;forPaper.forEach(act=>act())};
  addEventListener("beforeprint",()=>{if(sheet)return;opened=$$("details:not([open])");opened.forEach(part=>part.open=true);turn(900)});
  addEventListener("afterprint",()=>{opened.forEach(part=>part.open=false);opened=[];turn(0)});
}
// --- what the script can do, said where it does it: neither printed nor saved
const hint=(part,text,kind="")=>{
  let note=part.querySelector(":scope>.note");
  if(!note){note=make("p",{class:"note"});part.querySelector(":scope>.head,:scope>summary,:scope>h3").after(note)}
  if(note.textContent.includes(text))return;
  note.append(make("span",{class:"hint "+kind},(note.firstChild?" ":"")+text));
};

// --- where one is
{
  const parts=$$("main>[id]").filter(part=>part.querySelector("h2,h3,summary"));
  if(parts.length>3){
    const bar=make("div",{class:"sections"}),list=make("div",{role:"navigation","aria-label":"Sections"});
    const links=new Map(parts.map(part=>{const link=make("a",{href:"#"+part.id},part.dataset.short??part.querySelector("h2,h3,summary").firstChild.textContent.trim());list.append(link);return[part,link]}));
    bar.append(list);document.querySelector("header").after(bar);
    const mark=()=>{let here=null;for(const part of parts)if(part.getBoundingClientRect().top<140)here=part;for(const[part,link]of links)link.classList.toggle("here",part===here)};
    addEventListener("scroll",mark,{passive:true});mark();
  }
}

// --- what is under the pointer or has the focus, said at once
{
  const tip=make("div",{class:"tip",role:"tooltip",hidden:""});document.body.append(tip);
  $$("main title").forEach(title=>{title.parentNode.dataset.tip=title.textContent;title.remove()});
  $$("main [title]").forEach(part=>{part.dataset.tip=part.title;part.removeAttribute("title")});
  const at=(x,y)=>{const w=tip.offsetWidth,h=tip.offsetHeight;tip.style.left=Math.max(6,Math.min(innerWidth-w-6,x+14))+"px";tip.style.top=(y+18+h>innerHeight?Math.max(4,y-h-10):y+18)+"px"};
  const over=event=>{const part=event.target.closest?.("[data-tip]");if(!part||!part.dataset.tip){tip.hidden=true;return}tip.textContent=part.dataset.tip;tip.hidden=false;
    if(event.clientX!==undefined&&event.type!=="focusin")at(event.clientX,event.clientY);else{const box=part.getBoundingClientRect();at(box.left,box.bottom-10)}};
  for(const type of["pointermove","focusin"])document.addEventListener(type,over);
  for(const type of["pointerleave","focusout"])document.addEventListener(type,()=>tip.hidden=true);
  addEventListener("scroll",()=>tip.hidden=true,{passive:true,capture:true});
  document.addEventListener("keydown",event=>{if(event.key==="Escape")tip.hidden=true});
}

// --- tables: a click on a heading sorts
const sorters=new Map();
for(const[index,table]of $$("table.sortable").entries()){
  const heads=[...table.tHead.rows[0].cells],sorts=[];
  if(!index)hint(table.closest("section,details"),"A click on a heading sorts.","sorting");
  heads.forEach((head,column)=>{
    head.classList.add("sorts");head.tabIndex=0;
    const figures=head.classList.contains("num");
    const sort=()=>{
      const before=head.getAttribute("aria-sort"),down=before!=="descending"&&(figures||before==="ascending");
      heads.forEach(other=>other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort",down?"descending":"ascending");
      const key=row=>row.cells[column].dataset.v??row.cells[column].textContent;
      for(const body of table.tBodies){
        const rows=[...body.rows];
        rows.sort((a,b)=>{const x=key(a),y=key(b),order=figures?(+x)-(+y):x.localeCompare(y,"en",{numeric:true});return down?-order:order});
        body.append(...rows);
      }
      table.dispatchEvent(new Event("changed"));
    };
    sorts.push(sort);
    head.addEventListener("click",sort);
    head.addEventListener("keydown",event=>{if(event.key==="Enter"||event.key===" "){event.preventDefault();sort()}});
  });
  // Bars have no headings where it is narrow.
  if(table.classList.contains("bars")){
    const by=make("select",{"aria-label":"Sort by"},make("option",{value:-1},"sort by"),...heads.map((head,column)=>make("option",{value:column},head.textContent)));
    by.addEventListener("change",()=>{if(by.value>=0)sorts[by.value]()});
    sorters.set(table,make("label",{class:"sorter"},by));
  }
}

// --- one of several: buttons that set data-<name> on their figure
const choose=(label,options,set,chosen=0)=>{
  const group=make("span",{class:"choice",role:"group","aria-label":label});
  options.forEach((text,index)=>{
    const button=make("button",{type:"button","aria-pressed":index===chosen},text);
    button.addEventListener("click",()=>{[...group.children].forEach(other=>other.setAttribute("aria-pressed",other===button));set(index)});
    group.append(button);
  });
  return group;
};
const controls=(figure,before)=>{let box=figure.querySelector(".controls");if(!box){box=make("div",{class:"controls"});before.before(box)}return box};

for(const[table,by]of sorters)controls(table.closest("section,details"),table).append(by);

// --- views of one figure
for(const figure of $$(".figure")){
  const views=[...figure.children].filter(part=>part.dataset.view);
  if(views.length>1)controls(figure,views[0]).append(choose("View",views.map(view=>view.dataset.view),index=>views.forEach((view,i)=>view.hidden=i!==index)));
}

// --- rows that are searched, chosen by phase, and folded when there are many
for(const table of $$("table.searched")){
  const figure=table.closest("section,details"),box=controls(figure,table.closest(".wide")??table),few=+(table.dataset.few??0);
  const phases=[...new Set($$("tbody tr[data-phase]",table).map(row=>row.dataset.phase))].sort((a,b)=>(b==="prefill")-(a==="prefill"));
  let words=[],phase="",all=few===0;
  const search=make("input",{type:"search",placeholder:"Search","aria-label":"Search these rows"});
  const more=make("button",{type:"button",class:"fold",hidden:""});
  const show=()=>{
    for(const body of table.tBodies){
      let shown=0,left=0;
      for(const row of body.rows){
        const text=row.textContent.toLowerCase(),fits=(!phase||!row.dataset.phase||row.dataset.phase===phase)&&words.every(word=>text.includes(word));
        const hide=!fits||(!all&&!sheet&&!words.length&&shown>=few);
        row.hidden=hide;if(fits)hide?++left:++shown;
      }
      if(!body.hidden){more.hidden=few===0||words.length>0||(left===0&&!all)||shown<=few&&left===0;more.textContent=all?"Fewer":left+" more"}
    }
  };
  search.addEventListener("input",()=>{words=search.value.toLowerCase().split(/\s+/).filter(Boolean);show()});
  more.addEventListener("click",()=>{all=!all;show()});
  table.addEventListener("changed",show);
  if(phases.length>1)box.append(choose("Phase",["all",...phases],index=>{phase=index?phases[index-1]:"";show()}));
  const views=[...table.tBodies].filter(body=>body.dataset.view),named=table.querySelector("th[data-of]");
  if(views.length>1)box.prepend(choose("Rows",views.map(body=>body.dataset.view),index=>{views.forEach((body,i)=>body.hidden=i!==index);if(named)named.textContent=named.dataset.of.split("|")[index];show()}));
  forPaper.push(show);
  box.append(search);(table.closest(".wide")??table).after(more);more.style.marginTop="8px";
  show();
}

// A table that is wider than the sheet gets smaller type, then may break its words.
forPaper.push(()=>{
  for(const table of $$(".wide>table")){
    table.classList.remove("fit","dense","tight");table.style.removeProperty("width");table.style.removeProperty("font-size");
    if(!sheet||!table.offsetWidth)continue;
    const fits=()=>table.offsetWidth<=sheet;
    table.style.width=sheet+"px";table.classList.add("fit");
    if(!fits()){
      table.classList.add("dense");
      for(const size of[12.5,12,11.5,11,10.5,10])if(!fits())table.style.fontSize=size+"px";
      if(!fits())table.classList.add("tight");
    }
    table.style.removeProperty("width");
  }
});

// --- bars of one figure: to one scale, or each its own whole
for(const figure of $$("[data-scales]")){
  const bars=$$("svg.bar[data-length]",figure);
  if(!bars.length)continue;
  const ratios=$$("[data-ratio]",figure);ratios.forEach(cell=>cell.dataset.plain=cell.textContent);
  const names=figure.dataset.scales.split("|");
  (figure.querySelector(".controls")??controls(figure,figure.querySelector(".row,.wide,table"))).append(choose("Scale",names,index=>{
    const kind=names[index];
    bars.forEach(bar=>bar.setAttribute("viewBox","0 0 "+(kind==="shares"?Math.max(1e-6,+bar.dataset.length):1000)+" 10"));
    ratios.forEach(cell=>cell.textContent=kind==="relative"?cell.dataset.ratio:cell.dataset.plain);
  }));
}

// --- icicles: a click or Enter zooms in, Escape or the way above zooms out
for(const tree of $$(".icicle")){
  const cells=$$("button",tree).map(cell=>({cell,a:+cell.dataset.a,b:+cell.dataset.b,d:+cell.dataset.d}));
  let at=cells[0];
  const inside=(child,parent)=>child.d>parent.d&&child.a>=parent.a-1e-9&&child.b<=parent.b+1e-9;
  const parentOf=one=>cells.find(other=>other.d===one.d-1&&inside(one,other))??cells[0];
  const show=()=>{
    const span=at.b-at.a||1;
    for(const one of cells){
      const left=Math.max(0,(one.a-at.a)/span),right=Math.min(1,(one.b-at.a)/span),width=right-left;
      one.cell.hidden=!(width>0.0008);
      // For a page of the usual width: too little for a letter and dots.
      one.cell.classList.toggle("narrow",width*Math.min(innerWidth,1240)<34);
      one.cell.style.left=100*left+"%";one.cell.style.width=100*width+"%";
      one.cell.classList.toggle("pale",one.cell.dataset.pale!==undefined||one.d<at.d);
    }
    back.hidden=at===cells[0];
  };
  const zoom=one=>{at=one;show();one.cell.focus()};
  hint(tree.closest("section"),"A click or Enter zooms in, Escape out; arrow keys move.");
  const back=make("button",{type:"button",hidden:""},"\u2191 Whole");back.addEventListener("click",()=>zoom(cells[0]));
  (tree.closest("section").querySelector(".controls")??controls(tree.closest("section"),tree)).append(back);
  for(const one of cells){
    one.cell.addEventListener("click",()=>zoom(one===at?parentOf(one):one));
    one.cell.addEventListener("keydown",event=>{
      if(event.key==="Escape"&&at===cells[0])return;
      let next=null;const seen=cells.filter(other=>!other.cell.hidden);
      if(event.key==="Escape"||event.key==="Backspace"){event.preventDefault();zoom(parentOf(at));return}
      if(event.key==="ArrowUp")next=parentOf(one);
      if(event.key==="ArrowDown")next=seen.find(other=>other.d===one.d+1&&inside(other,one));
      if(event.key==="ArrowRight")next=seen.find(other=>other.d===one.d&&other.a>=one.b-1e-9);
      if(event.key==="ArrowLeft")next=seen.findLast(other=>other.d===one.d&&other.b<=one.a+1e-9);
      if(next){event.preventDefault();next.cell.focus()}
    });
  }
  show();
}

// --- figures as the reader's eye takes them: three digits and a prefix, as reports/format.cpp writes them
const digits=value=>{const size=Math.abs(value);return size===0?"0":size>=99.95&&size<1e7?String(Math.round(value)):value.toPrecision(3)};
const prefixed=(value,unit)=>{
  if(!value)return"0 "+unit;
  const step=Math.max(-4,Math.min(5,Math.floor(Math.log10(Math.abs(+value.toPrecision(3)))/3)));
  return digits(value/1000**step)+" "+["p","n","\u00b5","m","","k","M","G","T","P"][step+4]+unit;
};
const percent=value=>digits(100*value)+" %";
const dataOf=figure=>JSON.parse(figure.querySelector("script.data").textContent);
const tableOf=figure=>{
  // Columns of texts hold numbers of texts.
  const data=dataOf(figure);
  for(const column in data.texts)for(const row of data.rows)row[column]=data.texts[column][row[column]];
  return data;
};
// The same by columns; the rows, which are many, are not kept.
const columnsOf=figure=>{
  const{columns,texts,rows}=dataOf(figure),count=rows.length,of={};
  columns.forEach((name,c)=>{
    const text=texts[c],values=of[name]=new Array(count);
    if(text)for(let i=0;i<count;++i)values[i]=text[rows[i][c]];else for(let i=0;i<count;++i)values[i]=rows[i][c];
  });
  return of;
};
const drawing=(()=>{
  const space=make("template");space.innerHTML="<svg></svg>";const NS=space.content.firstChild.namespaceURI;
  return(name,attributes={},text)=>{const part=document.createElementNS(NS,name);for(const key in attributes)part.setAttribute(key,attributes[key]);if(text!==undefined)part.textContent=text;return part};
})();
// Drawn when the reader comes near, or for print and saving: a page opens with what is seen at first.
const waiting=new Map();
const drawNow=root=>{for(const[host,draw]of[...waiting])if(root.contains(host)){waiting.delete(host);draw()}};
const whenNear=(host,draw)=>{
  // What is near at first is drawn before the page is painted, lest it be painted twice.
  if(!("IntersectionObserver"in window)||host.getBoundingClientRect().top<innerHeight+400)return draw();
  waiting.set(host,draw);
  const watch=new IntersectionObserver(entries=>{if(entries.some(entry=>entry.isIntersecting)){watch.disconnect();drawNow(host)}},{rootMargin:"400px 0px"});
  watch.observe(host);
};
forPaper.push(()=>{if(sheet)drawNow(document)});
// How wide a drawing is made.
const widthOf=host=>sheet||Math.max(240,host.clientWidth);
// A stretch [from, to] of which a part is seen: the wheel (once clicked, or with Ctrl), + and - zoom, a drag and the arrows move, 0 shows all.
const zoomable=(host,all,left,draw)=>{
  let seen=[...all];
  const set=(from,span)=>{span=Math.min(all[1]-all[0],Math.max((all[1]-all[0])/20000,span));from=Math.max(all[0],Math.min(all[1]-span,from));seen=[from,from+span];host.dataset.seen=span/(all[1]-all[0]);draw(seen)};
  const zoom=(factor,at=.5)=>{const span=seen[1]-seen[0];set(seen[0]+at*span*(1-factor),span*factor)},move=by=>set(seen[0]+by*(seen[1]-seen[0]),seen[1]-seen[0]);
  const at=event=>{const box=host.getBoundingClientRect();return Math.max(0,Math.min(1,(event.clientX-box.left-left)/(box.width-left-8)))};
  host.tabIndex=0;
  host.addEventListener("wheel",event=>{if(document.activeElement!==host&&!event.ctrlKey)return;event.preventDefault();zoom(Math.exp(event.deltaY/400),at(event))},{passive:false});
  host.addEventListener("keydown",event=>{
    const act={"+":()=>zoom(.5),"=":()=>zoom(.5),"-":()=>zoom(2),"0":()=>set(...all),ArrowLeft:()=>move(-.2),ArrowRight:()=>move(.2)}[event.key];
    if(act){event.preventDefault();act()}
  });
  let drag=null;
  host.addEventListener("pointerdown",event=>{drag=[event.clientX,seen[0]];host.setPointerCapture(event.pointerId);host.focus({preventScroll:true})});
  host.addEventListener("pointermove",event=>{if(drag&&Math.abs(event.clientX-drag[0])>2)set(drag[1]-(event.clientX-drag[0])/(host.clientWidth-left-8)*(seen[1]-seen[0]),seen[1]-seen[0])});
  for(const type of["pointerup","pointercancel"])host.addEventListener(type,()=>drag=null);
  host.addEventListener("dblclick",()=>set(...all));
  let width=host.clientWidth;draw(seen);
  addEventListener("resize",()=>{if(host.clientWidth!==width){width=host.clientWidth;draw(seen)}});
  forPaper.push(()=>draw(seen));
  hint(host.closest(".figure"),"Once clicked, the wheel or + and \u2212 zoom, a drag or the arrow keys move, 0 shows all.");
  return{at,seen:()=>seen,reset:to=>{all=to;set(to[0],to[1]-to[0])}};
};
const ticks=(from,to,count,whole=false)=>{const raw=Math.max(whole?1:0,(to-from)/count),size=10**Math.floor(Math.log10(raw)),step=[1,2,5,10].find(f=>f*size>=raw)*size,found=[];for(let i=Math.ceil(from/step-1e-9);i*step<=to*(1+1e-12);++i)found.push(i*step);return found};
// Curves over a common axis, one drawing a panel: {title, series: [{name, colour, values}], stacked, top, text}; `common` is the place of its top among those of all results.
// Of results beside each other all have the axes `shared`, the range and each panel's top, unless the reader asks for each its own.
const shared=(()=>{
  const box=document.querySelector("[data-shared]");if(!box)return null;
  const all=JSON.parse(box.dataset.shared);all.own=false;
  if(document.querySelector(".curves"))box.append(choose("Axes over time",["common","each its own"],index=>{all.own=index===1;document.dispatchEvent(new Event("scales"))}));
  return all;
})();
const curves=(host,x,axis,panels)=>{
  const left=64,height=112,places=panels.map(panel=>{
    host.append(make("h4",{},panel.title));
    const legend=make("ul",{class:"legend"});
    if(panel.series.length>1)for(const one of panel.series){const item=make("li"),square=drawing("svg",{class:"swatch",viewBox:"0 0 10 10"});square.append(drawing("rect",{class:"s"+one.colour,width:10,height:10,rx:2}));item.append(square,one.name);legend.append(item)}
    if(legend.children.length)host.append(legend);
    const svg=drawing("svg",{class:"curve",role:"img","aria-label":panel.title});host.append(svg);return svg;
  });
  const clips=panels.map((_,p)=>"clip"+$$(".curves").indexOf(host)+"-"+p);
  const draw=([from,to])=>{
    const width=widthOf(host),X=v=>left+(v-from)/(to-from)*(width-left-8);
    let first=0,last=x.length-1;while(first<last-1&&x[first+1]<from)++first;while(last>first+1&&x[last-1]>to)--last;
    panels.forEach((panel,p)=>{
      const svg=places[p],lowest=p===panels.length-1,H=height+(lowest?30:6);
      svg.textContent="";svg.setAttribute("viewBox","0 0 "+width+" "+H);svg.setAttribute("height",H);
      const given=panel.top??(common&&!shared.own?(common[panel.common]??0)*1.06:0);let top=given;if(!given)for(let i=0;i<x.length;++i){let all=0;for(const{values}of panel.series)all=panel.stacked?all+values[i]:Math.max(all,values[i]);top=Math.max(top,all*1.06)}
      top=top||1;const Y=v=>height-2-(height-12)*Math.min(1,v/top);
      for(const v of ticks(0,top,3)){svg.append(drawing("line",{class:"grid",x1:left,x2:width-8,y1:Y(v),y2:Y(v)}));svg.append(drawing("text",{class:"tick",x:left-6,y:Y(v)+4,"text-anchor":"end"},panel.text(v)))}
      const clip=clips[p],box=drawing("clipPath",{id:clip});box.append(drawing("rect",{x:left,y:0,width:width-left-8,height}));svg.append(box);
      const inside=drawing("g",{"clip-path":"ur"+"l(#"+clip+")"});svg.append(inside);
      const base=new Float64Array(x.length);
      // A value holds from its point to the next: steps, not slopes.
      for(const one of panel.series){
        let over="",under="";
        for(let i=first;i<=last;++i){
          const a=X(x[i]),b=X(i+1<x.length?x[i+1]:panel.end??x[i]),y=Y(base[i]+one.values[i]);
          over+=(over?"L":"M")+a.toFixed(1)+" "+y.toFixed(1)+"H"+b.toFixed(1);
          if(panel.stacked)under="L"+b.toFixed(1)+" "+Y(base[i]).toFixed(1)+"H"+a.toFixed(1)+under;
        }
        if(panel.stacked){inside.append(drawing("path",{class:"s"+one.colour,d:over+under+"Z"}));for(let i=0;i<x.length;++i)base[i]+=one.values[i]}
        else inside.append(drawing("path",{class:"line c"+one.colour,d:over}));
      }
      svg.append(drawing("line",{class:"axis",x1:left,x2:width-8,y1:height-2,y2:height-2}));
      if(lowest){
        const many=width<600?4:8;
        for(const v of ticks(from,to,many,axis.whole))svg.append(drawing("text",{class:"tick",x:X(v),y:height+13,"text-anchor":X(v)>width-40?"end":"middle"},axis.text(v)));
        svg.append(drawing("text",{class:"tick",x:(left+width)/2,y:height+28,"text-anchor":"middle"},axis.name));
      }
    });
  };
  const common=shared?.[host.dataset.what],range=()=>common&&!shared.own&&common[0][1]>common[0][0]?common[0]:[x[0],panels[0].end??x.at(-1)];
  const zoomed=zoomable(host,range(),left,draw);
  document.addEventListener("scales",()=>zoomed.reset(range()));
  host.addEventListener("pointermove",event=>{
    const[from,to]=zoomed.seen(),v=from+zoomed.at(event)*(to-from);let i=x.findLastIndex(one=>one<=v);i=Math.max(0,i);
    host.dataset.tip=axis.name+" "+axis.text(x[i])+"\n"+panels.map(panel=>panel.series.filter(one=>one.values[i]||panel.series.length===1).map(one=>one.name+": "+panel.text(one.values[i])).join("\n")).filter(Boolean).join("\n");
  });
};
for(const host of $$(".curves[data-what=windows]"))whenNear(host,()=>{
  const of=columnsOf(host.closest(".figure")),d=host.dataset,causes=Object.keys(of).filter(name=>name.endsWith("_cycles")),spans=of.begin_ms.map((_,i)=>causes.reduce((sum,name)=>sum+of[name][i],0)||1);
  const begin=of.begin_ms,end=begin.at(-1)+spans.at(-1)/d.clock*1e-3,seconds=i=>spans[i]/(d.clock*1e6);
  const labels=JSON.parse(d.labels),held=Object.entries(JSON.parse(d.capacities)).map(([name,capacity],s)=>({name:name.replace("_scratchpad","")+", of "+prefixed(capacity,"B"),colour:[0,6,2][s],values:of[name+"_held_bytes"].map(v=>v/capacity)}));
  curves(host,begin,{name:"time since the start",text:v=>prefixed(v*1e-3,"s")},[
    {title:"Cycles by cause",stacked:true,top:1,end,text:percent,series:causes.map((name,c)=>({name:labels[c],colour:c,values:of[name].map((v,i)=>v/spans[i])})).filter(one=>one.values.some(v=>v>0))},
    ...(of.dram_read_bytes.some(v=>v)||of.dram_write_bytes.some(v=>v)?[{title:"DRAM bandwidth, of "+prefixed(d.bytes*d.clock*1e6,"B/s"),common:1,stacked:true,end,text:v=>prefixed(v,"B/s"),series:[{name:"read",colour:0,values:of.dram_read_bytes.map((v,i)=>v/seconds(i))},{name:"written",colour:3,values:of.dram_write_bytes.map((v,i)=>v/seconds(i))}]}]:[]),
    {title:"Array utilisation, of "+prefixed(+d.macs,"MACs/cycle"),common:2,stacked:true,end,text:percent,series:[{name:"MACs of peak",colour:6,values:of.macs.map((v,i)=>v/(spans[i]*d.macs))}]},
    ...(held.length?[{title:"Held in the scratchpads",top:Math.max(1,...held.map(one=>Math.max(...one.values))),end,text:percent,series:held}]:[])]);
});
for(const host of $$(".curves[data-what=steps]"))whenNear(host,()=>{
  const of=columnsOf(host.closest(".figure"));
  curves(host,of.context,{name:"tokens of a sequence",whole:true,text:v=>digits(v)},[
    {title:"KV cache held",common:1,text:v=>prefixed(v,"B"),series:[{name:"held",colour:0,values:of.kv_bytes}]},
    {title:"Read from it by a step",common:2,text:v=>prefixed(v,"B"),series:[{name:"read",colour:6,values:of.kv_bytes_read.map((v,i)=>v/of.steps[i])}]},
    {title:"Written to it by a step",common:3,text:v=>prefixed(v,"B"),series:[{name:"written",colour:2,values:of.kv_bytes_written.map((v,i)=>v/of.steps[i])}]}]);
});
// What each part did: a lane a part, a bar a stretch of work; as strong as it was busy. Bars of one look are one path: thousands of
// parts would be kept for what is one picture.
for(const host of $$(".gantt"))whenNear(host,()=>{
  const of=columnsOf(host.closest(".figure")),count=of.stretch.length,stretches=[...new Set(of.stretch)],capacities=JSON.parse(host.dataset.capacities),bank=name=>name.startsWith("DRAM bank "),lanes=[...new Set(of.track)].sort((a,b)=>bank(a)&&bank(b)?a.slice(10)-b.slice(10):bank(a)-bank(b)),narrow=()=>widthOf(host)<600,left=()=>narrow()?0:190,laneOf=new Map(lanes.map((name,k)=>[name,k]));
  const svg=drawing("svg",{role:"img","aria-label":"What each part of the machine did"}),acts={"row open":5,"read":0,"write":3,"refresh":2};let chosen=stretches[0],under=()=>[];
  // A part has one colour on every page: what reads and writes has that of the banks' reads and writes.
  const parts={"operation":5,"DMA read: weights and cache":0,"DMA: next layer's weights":0,"DMA read: activations":1,"DMA write":3,"array":6,"dequantiser":4,"vector unit":7,"vector unit beside the array":7};
  const draw=([from,to])=>{
    const width=widthOf(host),L=left(),top=4,X=v=>L+(v-from)/(to-from)*(width-L-8);
    // Lanes of banks are many and low.
    const heights=lanes.map(name=>bank(name)?(narrow()?24:15):(narrow()?40:28)+(capacities[name]?6:0)),tops=heights.map((_,k)=>top+heights.slice(0,k).reduce((sum,h)=>sum+h,0)),bottom=tops.at(-1)+heights.at(-1);
    svg.textContent="";svg.setAttribute("viewBox","0 0 "+width+" "+(bottom+34));svg.setAttribute("height",bottom+34);
    for(const v of ticks(from,to,narrow()?5:8)){svg.append(drawing("line",{class:"grid",x1:X(v),x2:X(v),y1:top,y2:bottom}));svg.append(drawing("text",{class:"tick",x:X(v),y:bottom+15,"text-anchor":X(v)>width-40?"end":X(v)<L+20?"start":"middle"},prefixed(v*1e-12,"s")))}
    lanes.forEach((name,k)=>{const below=tops[k]+heights[k]-1,low=bank(name);svg.append(drawing("line",{class:"grid",x1:0,x2:width-8,y1:below,y2:below}));svg.append(drawing("text",{class:low?"name low":"name",x:narrow()?0:L-8,y:tops[k]+(narrow()?low?9:11:low?11:18),"text-anchor":narrow()?"start":"end"},name))});
    // An open row is beneath what was done with it, a name above its bar.
    const beneath=drawing("g"),above=drawing("g"),names=drawing("g"),looks=new Map(),drawn=new Map(),bars=[];
    const put=(look,x,y,wide,height)=>looks.set(look,(looks.get(look)??"")+"M"+x+" "+y+"h"+wide+"v"+height+"H"+x+"z");
    // Of a bank: the share of each pixel's time that it spends on each act.
    const pixels=Math.max(1,Math.ceil(width-8-L)),shares=new Map();
    const spread=(k,act,i)=>{
      let bankShares=shares.get(k);if(!bankShares)shares.set(k,bankShares=new Map());
      let share=bankShares.get(act);if(!share)bankShares.set(act,share=new Float32Array(pixels));
      const a=Math.max(0,X(of.begin_ps[i])-L),b=Math.min(pixels,Math.max(a+.4,X(of.end_ps[i])-L)),busy=Math.min(1,of.busy_ps[i]/Math.max(1,of.end_ps[i]-of.begin_ps[i]));
      for(let x=Math.floor(a);x<b;++x)share[x]+=busy*(Math.min(b,x+1)-Math.max(a,x));
    };
    for(let i=0;i<count;++i){
      if(of.stretch[i]!==chosen||of.end_ps[i]<from||of.begin_ps[i]>to)continue;
      const k=laneOf.get(of.track[i]),capacity=capacities[of.track[i]];
      if(capacity){
        // What holds little has the lane to be pointed at.
        const full=26,height=full*Math.min(1,of.bytes[i]/capacity),a=Math.max(L,X(of.begin_ps[i])),b=Math.min(width-8,X(of.end_ps[i])),below=tops[k]+heights[k]-2;
        put(1100,a.toFixed(2),below,Math.max(.3,b-a+.3).toFixed(2),(-height).toFixed(2));
        bars.push(i,a,b,below-full,below);
        continue;
      }
      const a=Math.max(L,X(of.begin_ps[i])),b=Math.min(width-8,X(of.end_ps[i]));
      if(bank(lanes[k])){spread(k,acts[of.operation[i]],i);bars.push(i,a,Math.max(b,a+1),tops[k],tops[k]+heights[k]);continue}
      const colour=parts[of.track[i]]??4;
      // What would be drawn over to within a third of a pixel needs no mark of its own.
      if(b-(drawn.get(k)??-1)<.34)continue;drawn.set(k,Math.max(b,a+.7));
      const busy=Math.min(1,of.busy_ps[i]/Math.max(1,of.end_ps[i]-of.begin_ps[i])),y=tops[k]+heights[k]-24,wide=Math.max(.7,b-a-(k===0?1:0));
      put(1000*colour+Math.round(100*(k===0?.32:.25+.75*busy)),a.toFixed(2),y,wide.toFixed(2),20);
      bars.push(i,a,a+wide,y,y+20);
      if(k===0&&b-a>7.2*of.operation[i].length+8)names.append(drawing("text",{class:"in",x:a+4,y:y+14},of.operation[i]));
    }
    // Upon the open row, what is done with it: its height is its part of the bank's work, but never so low that it is not seen; it is as strong as the bank was busy.
    for(const[k,bankShares]of shares){
      const ground=tops[k]+heights[k]-2,none=new Float32Array(pixels),open=bankShares.get(5)??none,work=[2,3,0].map(act=>bankShares.get(act)??none);
      const looksOf=x=>{
        const all=work.reduce((sum,share)=>sum+share[x],0),least=work.map(share=>share[x]>0?Math.max(.22,share[x]/all):0),whole=least.reduce((sum,part)=>sum+part,0)||1;
        return[open[x]>0?Math.round(15+45*Math.min(1,open[x])):0,all>0?Math.round(8+12*Math.min(1,all))*5:0,...least.map(part=>Math.round(18*part/whole)/2)];
      };
      for(let x=0,to,now=looksOf(0);x<pixels;x=to){
        let next;for(to=x+1;to<pixels&&(next=looksOf(to)).every((value,at)=>value===now[at]);)++to;
        if(now[0])put(5500+now[0],L+x,ground-3,to-x,3);
        let y=ground-3;[2,3,0].forEach((act,at)=>{const height=now[2+at];if(height>0)put(1000*act+now[1],L+x,y-=height,to-x,height)});
        now=next;
      }
    }
    for(const[look,d]of looks)(look%1000>=500?beneath:above).append(drawing("path",{class:"s"+Math.floor(look/1000),d,"fill-opacity":look%500/100}));
    svg.append(beneath,above,names);
    // The bars at a place, the uppermost first: those drawn last.
    under=(x,y)=>{const found=[];for(let at=bars.length-5;at>=0;at-=5)if(x>=bars[at+1]&&x<=bars[at+2]&&y>=bars[at+3]&&y<=bars[at+4])found.push(bars[at]);return found};
  };
  const lasts=i=>prefixed((of.end_ps[i]-of.begin_ps[i])*1e-12,"s")+" from "+prefixed(of.begin_ps[i]*1e-12,"s");
  const did=i=>"busy "+percent(Math.min(1,of.busy_ps[i]/Math.max(1,of.end_ps[i]-of.begin_ps[i])))+", "+of.pieces[i]+(of.pieces[i]===1?" piece":" pieces")+(of.bytes[i]?", "+prefixed(of.bytes[i],"B")+", "+prefixed(of.bytes[i]/(Math.max(1,of.busy_ps[i])*1e-12),"B/s"):"");
  host.addEventListener("pointermove",event=>{
    const box=svg.getBoundingClientRect(),found=under(event.clientX-box.left,event.clientY-box.top),i=found[0];
    if(i===undefined)return void delete host.dataset.tip;
    const track=of.track[i],capacity=capacities[track];
    host.dataset.tip=capacity?track+"\nholds "+prefixed(of.bytes[i],"B")+", "+percent(of.bytes[i]/capacity)+" of "+prefixed(capacity,"B")+"\n"+lasts(i)
      :bank(track)?[track,...found.slice(0,4).map(j=>of.operation[j]+": "+lasts(j)+"\n  "+did(j))].join("\n")
      :track===lanes[0]?of.operation[i]+"\n"+lasts(i):of.operation[i]+"\n"+track+"\n"+lasts(i)+"\n"+did(i);
  });
  const whole=()=>{let from=Infinity,to=0;for(let i=0;i<count;++i)if(of.stretch[i]===chosen){from=Math.min(from,of.begin_ps[i]);to=Math.max(to,of.end_ps[i])}return[from,to]};
  host.append(svg);
  const zoomed=zoomable(host,whole(),left(),draw);
  if(stretches.length>1)controls(host.closest("section"),host).append(choose("Stretch",stretches,index=>{chosen=stretches[index];zoomed.reset(whole())}));
});

// --- saving a figure
const save=(name,type,content)=>{
  const link=make("a",{href:URL.createObjectURL(content instanceof Blob?content:new Blob([content],{type})),download:name});
  link.click();setTimeout(()=>URL.revokeObjectURL(link.href),1000);
};
const csvOf=data=>{
  const cell=value=>{const text=value===null?"":String(value);return/[",\r\n]/.test(text)?'"'+text.replaceAll('"','""')+'"':text};
  return[data.columns,...data.rows].map(row=>row.map(cell).join(",")).join("\r\n")+"\r\n";
};
// What is seen, as SVG: boxes with a background, drawings with their computed style, and texts where they stand.
const svgOf=figure=>{
  const root=document.documentElement,before=root.style.colorScheme;
  root.style.colorScheme="light";  // for paper
  figure.classList.add("saving");  // without the buttons and what they do
  // What the colours mean may stand once for all figures of a page.
  const shared=figure.querySelector("ul.legend,svg.roofline,svg.plot,.icicle,table")?null:document.querySelector("main>ul.legend")?.cloneNode(true);
  if(shared)figure.querySelector(":scope>.note,:scope>.head").after(shared);
  // As wide as what scrolls in it on a narrow screen.
  const more=Math.max(0,...$$(".wide",figure).map(part=>part.scrollWidth-part.clientWidth));
  if(more)figure.style.width=figure.offsetWidth+more+"px";
  const space=make("template");space.innerHTML="<svg></svg>";
  const svg=space.content.firstChild,NS=svg.namespaceURI,element=(name,attributes)=>{const made=document.createElementNS(NS,name);for(const key in attributes)made.setAttribute(key,attributes[key]);return made};
  const outer=figure.getBoundingClientRect(),n=value=>+value.toFixed(2),clear="rgba(0, 0, 0, 0)";
  const styled=["fill","fill-opacity","stroke","stroke-width","stroke-dasharray","stroke-linejoin","opacity","font-size","font-weight","font-family","text-anchor","paint-order","vector-effect"];
  const copy=part=>{
    const style=getComputedStyle(part);if(style.display==="none")return null;
    const made=part.cloneNode(false);made.removeAttribute("class");made.removeAttribute("style");for(const name of Object.keys(made.dataset))delete made.dataset[name];
    for(const name of styled){const value=style.getPropertyValue(name);if(value&&value!=="none"||name==="fill"||name==="stroke")made.setAttribute(name,value)}
    for(const child of part.childNodes)if(child.nodeType===3)made.append(child.textContent);else if(child.nodeType===1){const done=copy(child);if(done)made.append(done)}
    return made;
  };
  const words=(node,style)=>{
    // A text that wraps has several lines: words of equal height are one.
    const range=document.createRange();let line=null;const lines=[];
    for(const found of node.textContent.matchAll(/\S+/g)){
      range.setStart(node,found.index);range.setEnd(node,found.index+found[0].length);
      const box=range.getBoundingClientRect();if(!box.width)continue;
      if(line&&Math.abs(line.top-box.top)<2){line.text+=" "+found[0];line.right=box.right}else lines.push(line={top:box.top,left:box.left,right:box.right,bottom:box.bottom,text:found[0]});
    }
    for(const one of lines){
      const size=parseFloat(style.fontSize),made=element("text",{x:n(one.left-outer.left),y:n((one.top+one.bottom)/2+size*.35-outer.top),"font-size":size,"font-weight":style.fontWeight,"font-family":style.fontFamily,fill:style.color,textLength:n(one.right-one.left),lengthAdjust:"spacingAndGlyphs"});
      made.textContent=one.text;svg.append(made);
    }
  };
  const walk=(part,clip)=>{
    if(part.nodeType===3)return void(inClip(part,clip)&&words(part,getComputedStyle(part.parentNode)));
    if(part.nodeType!==1||part.tagName==="SCRIPT"||part.hidden)return;
    const style=getComputedStyle(part);if(style.display==="none"||style.visibility==="hidden")return;
    const box=part.getBoundingClientRect();
    if(part.namespaceURI===NS){
      const made=copy(part);if(!made)return;
      made.setAttribute("x",n(box.left-outer.left));made.setAttribute("y",n(box.top-outer.top));made.setAttribute("width",n(box.width));made.setAttribute("height",n(box.height));
      if(style.backgroundColor!==clear)svg.append(element("rect",{x:n(box.left-outer.left),y:n(box.top-outer.top),width:n(box.width),height:n(box.height),fill:style.backgroundColor}));
      svg.append(made);return;
    }
    if(part!==figure&&style.backgroundColor!==clear)svg.append(element("rect",{x:n(box.left-outer.left),y:n(box.top-outer.top),width:n(box.width),height:n(box.height),fill:style.backgroundColor}));
    const top=parseFloat(style.borderTopWidth);
    if(part.closest(".icicle")&&top)svg.append(element("rect",{x:n(box.left-outer.left),y:n(box.top-outer.top),width:n(box.width),height:top,fill:style.borderTopColor}));
    const inner=style.overflowX!=="visible"?{right:Math.min(clip.right,box.right),bottom:Math.min(clip.bottom,box.bottom)}:clip;
    for(const child of part.childNodes)walk(child,inner);
  };
  // A text that does not fit its box is left out rather than drawn over its neighbour.
  const inClip=(node,clip)=>{const range=document.createRange();range.selectNodeContents(node);const box=range.getBoundingClientRect();return box.right<=clip.right+2&&(box.top+box.bottom)/2<clip.bottom};
  svg.setAttribute("width",n(outer.width));svg.setAttribute("height",n(outer.height));svg.setAttribute("viewBox","0 0 "+n(outer.width)+" "+n(outer.height));
  svg.append(element("rect",{width:n(outer.width),height:n(outer.height),fill:"#ffffff"}));
  for(const child of figure.childNodes)walk(child,{right:1e9,bottom:1e9});
  root.style.colorScheme=before;figure.classList.remove("saving");if(more)figure.style.width="";shared?.remove();
  return new XMLSerializer().serializeToString(svg);
};
const pngOf=(svg,done)=>{
  const image=new Image();
  image.addEventListener("load",()=>{const canvas=make("canvas",{width:2*image.width,height:2*image.height}),draw=canvas.getContext("2d");draw.scale(2,2);draw.drawImage(image,0,0);canvas.toBlob(done,"image/png")});
  image.setAttribute("src","data:image/svg+xml;charset=utf-8,"+encodeURIComponent(svg));
};
const put=(box,text,what,act)=>{const button=make("button",{type:"button","aria-label":"Save as "+what},text);button.addEventListener("click",act);box.append(button)};
const saveBox=part=>{
  let box=part.querySelector(":scope>.head>.save,:scope>.save");if(box)return box;
  box=make("span",{class:"save"});
  const head=part.querySelector(":scope>.head"),title=part.querySelector(":scope>summary,:scope>h3");
  if(head)head.append(box);else if(title.tagName==="SUMMARY")title.after(box);else{const made=make("div",{class:"head"});title.replaceWith(made);made.append(title,box)}
  return box;
};
for(const figure of $$(".figure")){
  const name="systole-"+figure.id,box=saveBox(figure);
  put(box,"SVG","SVG picture",()=>{drawNow(figure);save(name+".svg","image/svg+xml",svgOf(figure))});
  put(box,"PNG","PNG picture",()=>{drawNow(figure);pngOf(svgOf(figure),blob=>save(name+".png","image/png",blob))});
  if(figure.querySelector("script.data"))put(box,"CSV","CSV table",()=>save(name+".csv","text/csv",csvOf(tableOf(figure))));
}
// A table without figures behind it is saved as it stands, with all its rows; a heading with a unit (data-unit) has numbers below it.
const shownTable=table=>{
  const cells=row=>[...row.cells].filter(cell=>!cell.classList.contains("act")),heads=table.tHead?cells(table.tHead.rows[0]):[];
  const value=(cell,head)=>head?.dataset.unit!==undefined&&cell.dataset.v!==undefined?(cell.textContent==="\u2013"?null:+cell.dataset.v):cell.textContent;
  return{columns:heads.length?heads.map(head=>head.textContent+(head.dataset.unit?" ["+head.dataset.unit+"]":"")):["name","value"],
    rows:[...table.tBodies].flatMap(body=>[...body.rows]).map(row=>cells(row).map((cell,column)=>value(cell,heads[column])))};
};
for(const table of $$("main table")){
  const part=table.closest("section,details");
  if(part.querySelector(":scope>script.data")||table.tBodies.length===0)continue;
  const box=saveBox(part),more=box.querySelectorAll(".of-table").length;
  put(box,"CSV","CSV table",()=>save("systole-"+(part.id||"table")+(more?"-"+(more+1):"")+".csv","text/csv",csvOf(shownTable(table))));
  box.lastChild.classList.add("of-table");
}
})();
