// Time that passes, and what comes later.
const order = [];
setTimeout(() => order.push('timer'), 1);
queueMicrotask(() => order.push('job'));
await new Promise(resolve => setTimeout(resolve, 20));
const settled = await Promise.allSettled([Promise.reject(new Error('no')), Promise.resolve(1), tools.echo({a: [1, 2n, new Date(0)]})]);
order.push(settled.map(each => each.status).join());
for await (const each of (async function* () { yield 1; await null; yield 2; })()) order.push(each);
console.log('%s %d %o', 'a', 1, {b: [new Map([[1, 2]])]}, new Date(0), /x/g, Symbol('s'), new Error('e'));
console.table([{a: 1}]); console.time('t'); console.timeEnd('t'); console.trace('here'); console.count(); console.group(); console.dir({});
try { null.x } catch (error) { order.push(error.stack.length > 0); }
try { await callTool('missing'); } catch (error) { order.push(error.name); }
return {count: order.length, refused: []};
