let at = 0;
const next = () => at < bytes.length ? bytes[at++] : 0;
const number = () => new DataView(Uint8Array.from({length: 8}, next).buffer).getFloat64(0);
const text = () => String.fromCharCode(...Array.from({length: next() % 20}, () => next() % 3 ? next() % 128 : next() * 256 + next()));
const format = () => Array.from({length: next() % 8}, () => ['%s', '%d', '%i', '%f', '%j', '%o', '%O', '%c', '%%', '%', 'a', ' '][next() % 12]).join('');
const made = [];
function value(depth) {
    if (depth > 6) return next();
    const inner = () => value(depth + 1);
    const list = () => Array.from({length: next() % 6}, inner);
    const object = to => { for (let n = next() % 5; n > 0; n--) to[next() % 4 ? text() : Symbol(text())] = inner(); return to };
    const kinds = [
        () => number(),
        () => next() - 128,
        () => text(),
        () => text().repeat(next()),
        () => list(),
        () => { const holes = list(); holes.length += next(); return object(holes) },
        () => object({}),
        () => object(Object.create(null)),
        () => new Map(list().map(item => [item, inner()])),
        () => object(new Set(list())),
        () => made[next() % (made.length || 1)],
        () => { const self = object({}); self.self = self; self.made = made; return self },
        () => object(new class Named extends [Object, Array, Map, Error, Uint8Array][next() % 5] {}),
        () => object([() => 0, function named() {}, class A {}, class extends Array {}, async () => 0, function* () {}, Math.max][next() % 7]),
        () => Object.defineProperty(object({}), text(), {get: inner, set: next() % 2 ? undefined : inner, enumerable: true}),
        () => new Date(next() % 4 ? number() : NaN),
        () => object(/a(?<b>.)\//giu),
        () => object(Object.assign(new [Error, TypeError, RangeError][next() % 3](text(), {cause: inner()}), {stack: next() % 2 ? text() : 'Error\n    at main.js:1:1'})),
        () => new AggregateError(list(), text()),
        () => object(new [Uint8Array, Float32Array, BigInt64Array, Float16Array][next() % 4](next())),
        () => object(new ArrayBuffer(next())),
        () => new DataView(new ArrayBuffer(8), next() % 8),
        () => new Proxy(object({}), {}),
        () => new Proxy([], {get: inner, ownKeys: () => [text()]}),
        () => object(Object(inner() ?? 1)),
        () => [undefined, null, true, -0, NaN, 10n ** 30n, Symbol(text()), globalThis][next() % 8],
        () => [Promise.resolve(inner()), new Promise(() => 0), new WeakMap, new WeakRef({}), [].values(), new Map([[1, inner()]]).entries()][next() % 6],
        () => object({[Symbol.toStringTag]: text()}),
        () => object({constructor: {name: text()}, toString: inner, toJSON: inner}),
        () => Object.create(object({}), {hidden: {value: inner()}}),
        () => (function () { return arguments })(...list()),
        () => format(),
    ];
    const it = kinds[next() % kinds.length]();
    made.push(it);
    return it;
}
const method = ['log', 'log', 'log', 'error', 'dir', 'table', 'group', 'assert', 'dirxml'][next() % 9];
const values = Array.from({length: next() % 5}, () => value(0));
// A getter takes bytes: it is to take the same.
const start = at;
console[method](...values);
console.groupEnd();
console.log('between');
at = start;
console[method](...values);
console.groupEnd();
