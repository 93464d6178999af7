// expect: OK "traces left"
// run: alone
// Hostile: changes all that it can, for whoever comes next. The next script looks for it.
globalThis.secret = "left behind";
Object.prototype.polluted = "left behind";
Array.prototype.map = () => ["left behind"];
Array.prototype[0] = "left behind";
Promise.prototype.then = () => {};
JSON.parse = () => "left behind";
Math.random = () => 4;
Date.now = () => 0;
delete globalThis.Set;
/(left) (behind)/.exec("left behind");
Symbol.for("left behind").description;
console.count("left behind");
console.time("left behind");
setTimeout(() => (Object.prototype.polluted = "later"), 60000);
queueMicrotask(() => (globalThis.secret = "even later"));
tools.list_datasets();
"traces left";
