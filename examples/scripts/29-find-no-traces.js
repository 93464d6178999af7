// expect: OK []
// run: alone
// Runs right after the script that leaves traces, on the same worker, and must find none.
const intact = {
  "a global is gone": typeof secret === "undefined",
  "Object.prototype is clean": ({}).polluted === undefined,
  "Array.prototype.map maps": [1].map((n) => n + 1)[0] === 2,
  "Array.prototype is empty": [,][0] === undefined,
  "Promise.prototype.then calls back": (await Promise.resolve(5).then((n) => n + 1)) === 6,
  "JSON.parse parses": JSON.parse("[1]")[0] === 1,
  "Math.random is random": Math.random() !== Math.random(),
  "Date.now has the time": Date.now() > 1.6e12,
  "Set exists": typeof Set === "function",
  "RegExp remembers nothing": !RegExp.$1 && !RegExp.lastMatch,
  "tools answer": (await tools.list_datasets()).length > 0,
};
return Object.keys(intact).filter((name) => !intact[name]);
