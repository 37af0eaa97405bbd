// The script of every page. The page is complete without it: it sorts, searches, zooms and saves.
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
addEventListener("beforeprint",()=>$$("details").forEach(part=>part.open=true));

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
for(const table of $$("table.sortable")){
  const heads=[...table.tHead.rows[0].cells];
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
    head.addEventListener("click",sort);
    head.addEventListener("keydown",event=>{if(event.key==="Enter"||event.key===" "){event.preventDefault();sort()}});
  });
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

// --- views of one figure
for(const figure of $$(".figure")){
  const views=[...figure.children].filter(part=>part.dataset.view);
  if(views.length>1)controls(figure,views[0]).append(choose("View",views.map(view=>view.dataset.view),index=>views.forEach((view,i)=>view.hidden=i!==index)));
}

// --- rows that are searched, chosen by phase, and folded when there are many
for(const table of $$("table.searched")){
  const figure=table.closest("section,details"),box=controls(figure,table.closest(".wide")??table),few=+(table.dataset.few??0);
  const phases=[...new Set($$("tbody tr[data-phase]",table).map(row=>row.dataset.phase))];
  let words=[],phase="",all=few===0;
  const search=make("input",{type:"search",placeholder:"Search","aria-label":"Search these rows"});
  const more=make("button",{type:"button",hidden:""});
  const show=()=>{
    for(const body of table.tBodies){
      let shown=0,left=0;
      for(const row of body.rows){
        const text=row.textContent.toLowerCase(),fits=(!phase||!row.dataset.phase||row.dataset.phase===phase)&&words.every(word=>text.includes(word));
        const hide=!fits||(!all&&!words.length&&shown>=few);
        row.hidden=hide;if(fits)hide?++left:++shown;
      }
      if(!body.hidden){more.hidden=few===0||words.length>0||(left===0&&!all)||shown<=few&&left===0;more.textContent=all?"Fewer":left+" more"}
    }
  };
  search.addEventListener("input",()=>{words=search.value.toLowerCase().split(/\s+/).filter(Boolean);show()});
  more.addEventListener("click",()=>{all=!all;show()});
  table.addEventListener("changed",show);
  if(phases.length>1)box.append(choose("Phase",["all",...phases],index=>{phase=index?phases[index-1]:"";show()}));
  const views=[...table.tBodies].filter(body=>body.dataset.view);
  if(views.length>1)box.prepend(choose("Rows",views.map(body=>body.dataset.view),index=>{views.forEach((body,i)=>body.hidden=i!==index);show()}));
  box.append(search);(table.closest(".wide")??table).after(more);more.style.marginTop="8px";
  show();
}

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
      one.cell.style.left=100*left+"%";one.cell.style.width=100*width+"%";
      one.cell.classList.toggle("pale",one.cell.dataset.pale!==undefined||one.d<at.d);
    }
    back.hidden=at===cells[0];
  };
  const zoom=one=>{at=one;show();one.cell.focus()};
  const back=make("button",{type:"button",hidden:""},"\u2191 Whole");back.addEventListener("click",()=>zoom(cells[0]));
  (tree.closest("section").querySelector(".controls")??controls(tree.closest("section"),tree)).append(back);
  for(const one of cells){
    one.cell.addEventListener("click",()=>zoom(one===at?parentOf(one):one));
    one.cell.addEventListener("keydown",event=>{
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
  const skipped=$$(".save,.controls,button.fold,.tip",figure).filter(part=>!part.closest(".icicle"));
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
    if(part.nodeType===3)return void(clip.right>clip.left&&inClip(part,clip)&&words(part,getComputedStyle(part.parentNode)));
    if(part.nodeType!==1||skipped.includes(part)||part.tagName==="SCRIPT"||part.hidden)return;
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
    const inner=style.overflowX!=="visible"?{left:Math.max(clip.left,box.left),right:Math.min(clip.right,box.right)}:clip;
    for(const child of part.childNodes)walk(child,inner);
  };
  // A text that does not fit its box is left out rather than drawn over its neighbour.
  const inClip=(node,clip)=>{const range=document.createRange();range.selectNodeContents(node);const box=range.getBoundingClientRect();return box.right<=clip.right+2};
  svg.setAttribute("width",n(outer.width));svg.setAttribute("height",n(outer.height));svg.setAttribute("viewBox","0 0 "+n(outer.width)+" "+n(outer.height));
  svg.append(element("rect",{width:n(outer.width),height:n(outer.height),fill:"#ffffff"}));
  for(const child of figure.childNodes)walk(child,{left:-1e9,right:1e9});
  root.style.colorScheme=before;
  return new XMLSerializer().serializeToString(svg);
};
const pngOf=(svg,done)=>{
  const image=new Image();
  image.addEventListener("load",()=>{const canvas=make("canvas",{width:2*image.width,height:2*image.height}),draw=canvas.getContext("2d");draw.scale(2,2);draw.drawImage(image,0,0);canvas.toBlob(done,"image/png")});
  image.setAttribute("src","data:image/svg+xml;charset=utf-8,"+encodeURIComponent(svg));
};
for(const figure of $$(".figure")){
  const head=figure.querySelector(".head"),name="systole-"+figure.id,data=figure.querySelector("script.data"),box=make("span",{class:"save"});
  const put=(text,what,act)=>{const button=make("button",{type:"button","aria-label":"Save as "+what},text);button.addEventListener("click",act);box.append(button)};
  put("SVG","SVG picture",()=>save(name+".svg","image/svg+xml",svgOf(figure)));
  put("PNG","PNG picture",()=>pngOf(svgOf(figure),blob=>save(name+".png","image/png",blob)));
  if(data)put("CSV","CSV table",()=>save(name+".csv","text/csv",csvOf(JSON.parse(data.textContent))));
  head.append(box);
}
