// Put into the head of a sweep's page by browser_test.cpp: what browser_selftest.js does there
// besides. Opens full reports, by mouse and by keyboard, and asks for the command of another point.
window.more=async(found,check,press)=>{
  const dialog=document.querySelector("#report"),frame=dialog.querySelector("iframe"),buttons=Object.fromEntries([...dialog.querySelectorAll(".bar button")].map(button=>[button.textContent,button]));
  const click=i=>document.querySelector('[data-i="'+i+'"]').dispatchEvent(new MouseEvent("click",{bubbles:true}));
  // The page in the frame is there when its script has run.
  const opened=async()=>{for(let i=0;i<500&&!frame.contentDocument?.querySelector("#scheme");++i)await new Promise(done=>setTimeout(done,10));check(dialog.open,"the report's window is not open");return frame.contentDocument};
  const front=P.findIndex(p=>p.front&&p.r),other=P.findIndex(p=>p.done&&!p.r);

  click(front);
  let page=await opened();
  found.report={point:P[front].id,command:commandOf(P[front]),html:frame.srcdoc,
    tiles:[...page.querySelectorAll(".tile")].map(tile=>[tile.querySelector(".label").textContent,tile.querySelector(".value").textContent]),
    figures:[...page.querySelectorAll(".figure")].map(figure=>figure.id),trees:page.querySelectorAll(".icicle").length};
  check(dialog.querySelector("b").textContent.startsWith("Point "+P[front].id),"the window does not name the point");
  check(page.documentElement.scrollWidth<=frame.clientWidth,"the report scrolls sideways");
  const link=page.querySelector('.sections a[href="#energy"]');link.click();
  await new Promise(done=>setTimeout(done,50));
  check(frame.contentDocument.querySelector("#energy"),"a link to a section leaves the report");

  // Alone: what a click on a link would do.
  const links=[],before=HTMLAnchorElement.prototype.click;
  HTMLAnchorElement.prototype.click=function(){links.push([this.target,this.download])};
  buttons.Save.click();check(saved.at(-1).content===frame.srcdoc&&saved.at(-1).type==="text/html","what is saved is not the report");
  buttons["Open alone"].click();check(saved.at(-1).content===frame.srcdoc,"what is opened alone is not the report");
  HTMLAnchorElement.prototype.click=before;
  check(JSON.stringify(links)===JSON.stringify([["","point-"+P[front].id+".html"],["_blank",""]]),"Save and Open alone are "+JSON.stringify(links));

  // Escape, wherever the focus is; on a tree that is zoomed it zooms out first.
  const cell=page.querySelector('.icicle button[data-d="1"]');cell.click();press(cell,"Escape");
  check(dialog.open,"Escape on a zoomed tree closes the report");
  press(page.body,"Escape");check(!dialog.open,"Escape within the report does not close it");
  check(!document.querySelector("#point").hidden,"closing a report lets its point go");
  const open=document.querySelector("#front [data-report]");check(open&&!open.hidden,"no button of the table opens a report");
  open.click();await opened();press(buttons.Close,"Escape");check(!dialog.open,"Escape beside the report does not close it");
  document.querySelector("#point [data-report]").click();await opened();buttons.Close.click();check(!dialog.open,"Close does not close");
  press(document.body,"Escape");check(document.querySelector("#point").hidden,"Escape does not let a point go");

  click(other);check(!dialog.open,"a point without a report opens one");
  found.other={point:P[other].id,command:document.querySelector("#point pre").textContent,
    figures:[...document.querySelectorAll("#point dl div")].map(one=>[one.querySelector("dt").textContent,one.querySelector("dd").textContent])};
  press(document.body,"Escape");
};
