// Put into the head of a sweep's page by browser_test.cpp: looks at the names along the heat map's
// axes, whichever they are.
window.more=async(found,check)=>{
  found.slanting=0;
  const choose=(id,k)=>{const select=document.getElementById(id);select.value=k;select.dispatchEvent(new Event("change"))};
  for(let across=0;across<D.axes.length;++across){
    choose("hx",across);choose("hy",(across+1)%D.axes.length);
    const svg=document.getElementById("heat"),place=svg.getBoundingClientRect(),ticks=[...svg.querySelectorAll("text.tick")];
    for(const one of ticks){const box=one.getBoundingClientRect();check(box.left>=place.left-1&&box.right<=place.right+1&&box.bottom<=place.bottom+1,one.textContent+" does not fit the drawing")}
    const boxes=ticks.filter(one=>!one.hasAttribute("transform")).map(one=>one.getBoundingClientRect());
    boxes.forEach((a,i)=>boxes.slice(i+1).forEach(b=>check(a.right<=b.left||b.right<=a.left||a.bottom<=b.top+4||b.bottom<=a.top+4,"names of "+D.axes[across].short+" overlap")));
    // Slanting names are parallel: between two there is a line's height.
    const slanting=ticks.filter(one=>one.hasAttribute("transform")),angle=38*Math.PI/180;
    slanting.slice(1).forEach((one,i)=>check((+one.getAttribute("x")-slanting[i].getAttribute("x"))*Math.sin(angle)>=11,"slanting names are too close"));
    found.slanting+=slanting.length;
  }
};
