// Put at the end of a page by browser_test.cpp: uses the page as a reader would and leaves what it
// found as JSON in <pre id="selftest">. `faults` lists what is wrong, in sentences.
(async()=>{
const found={figures:[],csv:{},faults:window.faults},root=document.documentElement;
const check=(condition,sentence)=>{if(!condition)found.faults.push(sentence)};
const press=(target,key)=>target.dispatchEvent(new KeyboardEvent("keydown",{key,bubbles:true,cancelable:true}));
const lastSaved=async(button,type)=>{
  const before=saved.length;button.click();
  // A picture is encoded in real time, which timers skip here; messages do not.
  for(let i=0;i<400000&&saved.length===before;++i)await new Promise(done=>{const ways=new MessageChannel();ways.port1.onmessage=done;ways.port2.postMessage(0)});
  const blob=saved.at(-1);check(saved.length===before+1&&blob.type===type,"the button "+button.textContent+" saved nothing of type "+type);
  return blob;
};
const fits=when=>{
  check(root.scrollWidth<=innerWidth,when+": the page scrolls sideways, "+root.scrollWidth+" in "+innerWidth);
  // What is drawn when it comes near does not stick out of its box, but is cut off.
  for(const part of document.querySelectorAll("main>section,main>details"))check(part.scrollWidth<=part.clientWidth,when+": #"+part.id+" is cut off, "+part.scrollWidth+" in "+part.clientWidth);
};
try{
  fits("at first");
  found.text=document.querySelector("main").innerText;
  found.tiles=[...document.querySelectorAll(".tile")].map(tile=>[tile.querySelector(".label").textContent,tile.querySelector(".value").textContent]);
  found.svgs=document.querySelectorAll("main svg").length;
  found.scripted=document.querySelector("#scheme")!==null;

  // Light and dark.
  const scheme=document.querySelector("#scheme"),colour=()=>getComputedStyle(document.body).backgroundColor,seen=new Set();
  for(let i=0;i<3;++i){scheme.click();seen.add(colour())}
  check(seen.size===2,"the scheme's button shows "+seen.size+" backgrounds, not two");

  // Tables.
  for(const table of document.querySelectorAll("table.sortable")){
    if(table.closest("details:not([open])"))continue;
    const heads=[...table.tHead.rows[0].cells],column=heads.findIndex(head=>head.classList.contains("num"));
    const body=[...table.tBodies].find(one=>!one.hidden);
    if(column<0||!body||body.rows.length<2)continue;
    const values=()=>[...body.rows].map(row=>+(row.cells[column].dataset.v??row.cells[column].textContent));
    const before=[...body.rows];
    heads[column].click();
    let order=values();check(order.every((v,i)=>!i||order[i-1]>=v),"a click does not sort downwards by "+heads[column].textContent);
    press(heads[column],"Enter");
    order=values();check(order.every((v,i)=>!i||order[i-1]<=v),"Enter does not sort upwards by "+heads[column].textContent);
    check(heads[column].getAttribute("aria-sort")==="ascending","a sorted column does not say so");
    body.append(...before);heads[column].removeAttribute("aria-sort");
  }
  for(const search of document.querySelectorAll("input[type=search]")){
    const table=search.closest("section,details").querySelector("table.searched"),body=[...table.tBodies].find(one=>!one.hidden);
    const shown=()=>[...body.rows].filter(row=>!row.hidden).length,before=shown();
    search.value=body.rows[0].cells[0].textContent;search.dispatchEvent(new Event("input"));
    check([...body.rows].every(row=>row.hidden||row.textContent.includes(search.value)),"a search for "+search.value+" shows other rows");
    check(shown()>0,"a search for "+search.value+" finds nothing");
    search.value="no such row anywhere";search.dispatchEvent(new Event("input"));
    check(shown()===0,"a search for nonsense finds something");
    search.value="";search.dispatchEvent(new Event("input"));
    check(shown()===before,"rows are lost after a search");
  }
  // One of several.
  for(const group of document.querySelectorAll(".choice")){
    const buttons=[...group.children];
    for(const button of[...buttons.slice(1),buttons[0]]){
      button.click();
      check(buttons.filter(other=>other.getAttribute("aria-pressed")==="true").length===1&&button.getAttribute("aria-pressed")==="true","a choice of "+button.textContent+" is not shown");
      fits("after "+button.textContent);
      if(button.textContent==="shares"){
        for(const bar of group.closest("[data-scales]").querySelectorAll("svg.bar[data-length]")){
          if(+bar.dataset.length>1)check(Math.abs(bar.viewBox.baseVal.width-bar.dataset.length)<.01,"a bar does not fill its track");
        }
      }
    }
  }
  // Trees.
  for(const tree of document.querySelectorAll(".icicle")){
    if(!tree.offsetWidth)continue;
    const cells=[...tree.querySelectorAll("button")],second=cells.find(cell=>cell.dataset.d==="1"),width=second.style.width;
    second.click();
    check(second.style.width==="100%","a click does not zoom into "+second.textContent);
    check(document.activeElement===second,"the zoomed part has no focus");
    press(second,"ArrowDown");check(document.activeElement!==second||!cells.some(cell=>cell.dataset.d==="2"&&!cell.hidden),"an arrow key does not move down");
    press(document.activeElement,"Escape");
    check(second.style.width===width,"Escape does not zoom out");
    const sum=cells.filter(cell=>cell.dataset.d==="1").reduce((all,cell)=>all+(+cell.dataset.b-+cell.dataset.a),0);
    check(sum>.99&&sum<1.0001,"the parts of a tree are "+sum+" of it");
  }
  // Curves and bars over time.
  found.zoomed=0;
  for(const host of document.querySelectorAll(".curves,.gantt")){
    // Drawn when one comes near.
    host.scrollIntoView();
    for(let i=0;i<200&&!host.querySelector("svg:not(.swatch)");++i)await new Promise(done=>setTimeout(done,20));
    // A browser that is busy elsewhere may leave out the frame that tells: drawn as for the printer.
    if(!host.querySelector("svg:not(.swatch)")){dispatchEvent(new Event("beforeprint"));dispatchEvent(new Event("afterprint"))}
    const drawn=()=>host.querySelector("svg:not(.swatch)").innerHTML,at=()=>+host.dataset.seen;
    check(host.querySelectorAll("path,rect").length>3,"nothing is drawn over time");
    const whole=drawn();
    host.focus();check(document.activeElement===host,"a drawing over time cannot have the focus");
    press(host,"+");check(at()===.5&&drawn()!==whole,"+ does not zoom");
    const half=drawn();press(host,"ArrowRight");check(drawn()!==half,"an arrow does not move");
    const box=host.getBoundingClientRect();
    host.dispatchEvent(new WheelEvent("wheel",{deltaY:-100,clientX:box.left+box.width/2,clientY:box.top+20,bubbles:true,cancelable:true}));
    check(at()<.5,"the wheel does not zoom");
    if(Object.keys(JSON.parse(host.dataset.capacities||"{}")).length){
      if(host.dataset.what==="windows")check(host.textContent.includes("Held in the scratchpads"),"no curve of what the scratchpads hold");
      else{
        const lane=[...host.querySelectorAll("text.name")].find(name=>name.textContent.endsWith("scratchpad"))?.getBoundingClientRect();check(lane,"no lane of a scratchpad");
        let said="nothing";
        for(let x=box.left+10;x<box.right&&!said.includes("holds");x+=20){host.dispatchEvent(new PointerEvent("pointermove",{clientX:x,clientY:lane?.bottom+8,bubbles:true}));said=host.dataset.tip??said}
        check(/scratchpad\nholds .*B, .*% of .*B\n/.test(said),"a scratchpad's lane says "+said);
      }
    }
    press(host,"0");check(at()===1&&drawn().length===whole.length,"0 does not show all");
    // No two places of an axis have one name, and a bank says what it did at a place.
    const bottom=[...host.querySelectorAll("svg:not(.swatch)")].at(-1),names=[...bottom.querySelectorAll("text.tick[text-anchor=middle]")].map(one=>one.textContent);
    check(new Set(names).size===names.length,"an axis repeats itself: "+names.join(" "));
    const bank=[...bottom.querySelectorAll("text.low")].at(-1);
    if(bank){
      const row=bank.getBoundingClientRect(),all=bottom.getBoundingClientRect(),said=new Set();
      for(let x=all.left+1;x<all.right;x+=2){
        host.dispatchEvent(new PointerEvent("pointermove",{clientX:x,clientY:row.top+row.height/2,bubbles:true}));
        for(const line of(host.dataset.tip??"").split("\n"))if(/^(row open|read|write|refresh): /.test(line))said.add(line.split(":")[0]);
      }
      check(said.has("row open")&&said.size>1,"a bank says only "+[...said].join(", "));
    }
    ++found.zoomed;
  }

  // Saving.
  for(const figure of document.querySelectorAll(".figure")){
    const buttons=Object.fromEntries([...figure.querySelectorAll(":scope>.head .save button")].map(button=>[button.textContent,button]));
    const before=figure.innerHTML.length;
    const picture=(await lastSaved(buttons.SVG,"image/svg+xml")).content,parsed=new DOMParser().parseFromString(picture,"image/svg+xml");
    check(!parsed.querySelector("parsererror"),figure.id+": the saved SVG is not well-formed");
    check(parsed.documentElement.querySelectorAll("rect,path,circle").length>1,figure.id+": the saved SVG is empty");
    check(parsed.documentElement.querySelectorAll("text").length>1,figure.id+": the saved SVG has no text");
    check(!/var\(|light-dark/.test(picture),figure.id+": the saved SVG needs the page's style");
    // Nothing of it is beyond its edge, and nothing that only a page can do is promised.
    const side=+parsed.documentElement.getAttribute("width");
    for(const part of parsed.documentElement.children)if(part.matches("svg,text"))check(+part.getAttribute("x")+(+(part.getAttribute("width")??part.getAttribute("textLength")))<=side+2,figure.id+": the saved SVG is cut at its edge, "+side+", beyond which is "+(part.textContent.slice(0,40)||part.tagName));
    for(const one of figure.querySelectorAll(".hint"))check(!picture.includes(one.textContent.trim().split(" ").slice(0,3).join(" ")),figure.id+": the saved SVG says "+one.textContent);
    check(picture.includes(figure.querySelector("h3").textContent.split(" ")[0]),figure.id+": the saved SVG has no title");
    found.figures.push({id:figure.id,texts:parsed.documentElement.querySelectorAll("text").length,bytes:picture.length});
    if(found.figures.length<3){
      const picture=await lastSaved(buttons.PNG,"image/png");
      check(picture.size>2000,figure.id+": the saved PNG is almost empty");
    }
    if(buttons.CSV)found.csv[figure.id]=(await lastSaved(buttons.CSV,"text/csv")).content;
    check(figure.innerHTML.length===before,figure.id+": saving changed the page");
  }
  // Every table is saved, by its own button or its figure's.
  for(const table of document.querySelectorAll("main table")){
    const part=table.closest("section,details");if(!table.tBodies.length)continue;
    const button=[...part.querySelectorAll(":scope>.head>.save button,:scope>.save button")].find(one=>one.textContent==="CSV");
    check(button,"no CSV of the table in "+part.id);
    if(button?.classList.contains("of-table")){
      const lines=(await lastSaved(button,"text/csv")).content.trim().split("\r\n");
      check(lines.length===1+[...table.tBodies].reduce((all,body)=>all+body.rows.length,0),part.id+": rows are missing in its CSV");
      found.csv[part.id]=lines.join("\r\n");
    }
  }

  // For the printer: all is there, as wide as a sheet; on the screen it is as before.
  const page=()=>document.querySelector("main").innerHTML.replace(/ (style|class)=""/g,""),before=page();
  dispatchEvent(new Event("beforeprint"));
  check(!document.querySelector("details:not([open])"),"printed with closed parts");
  for(const table of document.querySelectorAll(".wide>table"))check(table.offsetWidth===0||(table.style.width="900px",table.offsetWidth)<=900,"printed, a table of "+table.closest("[id]").id+" is cut"),table.style.removeProperty("width");
  for(const body of document.querySelectorAll("table.searched tbody:not([hidden])"))check([...body.rows].every(row=>!row.hidden),"printed without folded rows of "+body.closest("[id]").id);
  for(const host of document.querySelectorAll(".curves,.gantt"))for(const svg of host.querySelectorAll("svg:not(.swatch)"))check(svg.viewBox.baseVal.width===900,"printed "+svg.viewBox.baseVal.width+" wide");
  dispatchEvent(new Event("afterprint"));
  const after=page();
  check(after.length===before.length,"printing changed the page by "+(after.length-before.length));
  await window.more?.(found,check,press);
  fits("at the end");
}catch(error){found.faults.push("the test itself: "+error.stack)}
const timing=performance.getEntriesByType("navigation")[0];
found.load_ms=timing?timing.loadEventStart:-1;
const place=document.createElement("pre");place.id="selftest";place.textContent=JSON.stringify(found);document.body.append(place);
})();
