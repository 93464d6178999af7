// fuzz-scripts: time_ms=400 body
var last, fuel = 300, t = f => { if (fuel-- > 0) try { return f() } catch (e) { last = e } }
var v0 = new Uint8Array(new ArrayBuffer(8, {maxByteLength: 16}))
t(() => Reflect.apply(Array.prototype.sort, v0, [() => { t(() => v0.buffer.resize(0)); return 1 }]))
t(() => console.log('%j %O', {toJSON: () => structuredClone(v0)}, v0))
t(() => callTool('later', v0).then(() => console.log(v0)))
return v0
