// Put into a page's head by browser_test.cpp, before any script of the page: notes what goes wrong
// and what is saved.
window.faults=[];
addEventListener("error",event=>faults.push("error: "+event.message));
addEventListener("unhandledrejection",event=>faults.push("rejection: "+event.reason));
for(const level of["error","warn"]){const before=console[level];console[level]=(...words)=>{faults.push(level+": "+words.join(" "));before(...words)}}
window.saved=[];
// The text of a blob is kept: reading it back would take real time, of which a test has none.
window.Blob=class extends Blob{constructor(parts,options){super(parts,options);this.content=parts.join("")}};
URL.createObjectURL=blob=>{saved.push(blob);return"#saved"};
URL.revokeObjectURL=()=>{};
