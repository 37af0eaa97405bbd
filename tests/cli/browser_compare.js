// Two pictures of a page: shrinks the new one, and says how far it is from the reference.
addEventListener("load",()=>{
const cell=12,result={};
const shot=document.querySelector("#shot"),reference=document.querySelector("#reference"),width=shot.naturalWidth>800?240:132,height=Math.round(shot.naturalHeight*width/shot.naturalWidth);
const pixels=(image,height)=>{
  const canvas=document.createElement("canvas");canvas.width=width;canvas.height=height;
  const draw=canvas.getContext("2d");draw.imageSmoothingQuality="high";draw.drawImage(image,0,0,width,height);
  return[canvas,draw.getImageData(0,0,width,height).data];
};
const[canvas,now]=pixels(shot,height);
result.small=canvas.toDataURL("image/webp",.5);
if(reference){
  const[,before]=pixels(reference,height);let sum=0,cells=0,far=0,worst=0;
  for(let y=0;y+cell<=height;y+=cell)for(let x=0;x+cell<=width;x+=cell){
    let a=0,b=0;
    for(let j=0;j<cell;++j)for(let i=0;i<cell;++i){const at=4*((y+j)*width+x+i),light=data=>.2126*data[at]+.7152*data[at+1]+.0722*data[at+2];a+=light(now);b+=light(before)}
    const apart=Math.abs(a-b)/(cell*cell);sum+=apart;++cells;far+=apart>24;worst=Math.max(worst,apart);
  }
  result.mean=sum/cells;result.far=far/cells;result.worst=worst;result.same_shape=reference.naturalWidth===width&&reference.naturalHeight===height;
}
const place=document.createElement("pre");place.id="selftest";place.textContent=JSON.stringify(result);document.body.append(place);
});
