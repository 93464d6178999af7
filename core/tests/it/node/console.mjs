// Console calls that must print what Node prints. Run with Node 20 or later: `node console.mjs > console.json`.
import { Console } from "node:console";
import { Writable } from "node:stream";

/// Arguments of console.log.
const logged = [
  // Primitives.
  `'text'`, `'a', 'b'`, `1, -0, 0, 0.1, 1e21, NaN, -Infinity`, `10n, -5n`, `true, null, undefined`,
  `Symbol('s'), Symbol()`, ``, `['text', -0, 0 * -1, 1n, Symbol('s'), null, undefined, 2 ** 31]`,
  // Strings inside.
  `["it's", 'say "x"', 'it\\'s "x"', 'it\\'s "x" \`y\`', 'a\\nb', '\\u001b\\\\', 'käse €', '']`,
  `{ s: 'x'.repeat(100) }`, `['a\\n'.repeat(20)]`, `['line one of it\\n'.repeat(6)]`, `['x'.repeat(10010)]`,
  // Arrays.
  `[]`, `[1, 2, 3]`, `[[1, [2, [3, [4]]]]]`, `[,1,,,2,,]`, `new Array(5)`, `[1,,]`,
  `Array.from({length: 120}, (_, i) => i)`, `Array.from({length: 101}, (_, i) => 'v' + i)`,
  `Array.from({length: 30}, (_, i) => i % 2 ? 'ab' : 'abcdef')`, `Array.from({length: 9}, (_, i) => 'x'.repeat(i * 4))`,
  `Array.from({length: 7}, (_, i) => ({i}))`, `Object.assign([1], {x: 2, '-1': 3})`, `/a(b)?/.exec('xa')`,
  `Object.defineProperty([1, 2], 1, {get() { throw 1 }, enumerable: true})`,
  `Object.assign(Array.from({length: 8}, (_, i) => i), {x: 1})`,
  // Objects.
  `{}`, `{a: 1, 'b-c': 2, 3: 4, [Symbol('k')]: 5, ä: 6}`, `{a: {b: {c: {d: 1}}}}`, `{a: {b: {c: {}}}}`,
  `{a: {b: {c: []}}}`, `{a: {b: {c: [1], m: new Map([[1, 2]]), f(){}, A: new (class A { x = 1 })}}}`,
  `{get g() { return 1 }, set s(v) {}, get b() { return 1 }, set b(v) {}}`, `Object.create(null)`,
  `Object.assign(Object.create(null), {a: 1})`, `{['__proto__']: 1}`, `Object.create({inherited: 1})`,
  `Object.defineProperty({}, 'hidden', {value: 1})`, `{undefined: undefined}`,
  `{first: 'a long string value', second: 'another long string value', third: [1, 2, 3], fourth: {x: 1}}`,
  `[{id: 1, name: 'Ann', tags: ['x', 'y']}, {id: 2, name: 'Bob', tags: []}]`,
  `{status: 'ok', items: [{id: 1, dims: {w: 1, h: 2}}, {id: 2, dims: {w: 4, h: 5}}], total: 2}`,
  `{a: {b: {c: 1}, d: [[1]]}, e: [{f: {g: 1}}]}`,
  // Objects that hold themselves.
  `(() => { const a = {}; a.self = a; return a })()`, `(() => { const a = [1]; a.push(a); return a })()`,
  `(() => { const a = {b: {}}; a.b.a = a; a.b.b = a.b; return a })()`,
  `(() => { const m = new Map(); m.set('m', m); return m })()`, `(() => { const s = {x: 1}; return [s, s] })()`,
  `(() => { const f = function f() {}; f.f = f; return f })()`,
  // Classes.
  `new (class A { constructor() { this.x = 1 } })`, `new (class A {})`, `new (class M extends Map {})([[1, 2]])`,
  `new (class L extends Array {})(1, 2)`, `class A {}`, `class B extends Object {}`, `class {}`,
  `{A: class A { static x = 1 }}`, `class A extends null {}`,
  `(() => { class A {} class B extends A { y = 2 } return [new B, B] })()`, `{[Symbol.toStringTag]: 'T'}`,
  `new (class A { static name = 'other' })`,
  `Object.defineProperty({}, Symbol.toStringTag, {value: 'T'})`, `Object.assign(Object.create({constructor: 1}), {x: 1})`,
  `(class A {}).prototype`, `Object.setPrototypeOf(new Map([[1, 2]]), null)`, `Object.setPrototypeOf([1], null)`,
  // Functions.
  `function f() {}`, `() => {}`, `async function g() {}`, `function* h() {}`, `async function* i() {}`,
  `Object.assign(function f() {}, {a: 1})`, `Math.max`, `f => f`, `[function () {}, Map, parseInt]`,
  `(function f() {}).bind(null)`, `(function* () {})()`, `Object.setPrototypeOf(function f() {}, null)`,
  // Collections.
  `new Map()`, `new Map([['a', 1], [{k: 1}, [2]]])`, `new Set()`, `new Set([1, 'a', {b: 2}])`, `new WeakMap()`,
  `new WeakSet()`, `new Map(Array.from({length: 101}, (_, i) => [i, i]))`,
  `new Set(Array.from({length: 103}, (_, i) => i))`, `Object.assign(new Map([[1, 2]]), {x: 1})`,
  // Other built-in objects.
  `new Date(0)`, `new Date(NaN)`, `{d: new Date(1700000000123)}`, `new Date(8.64e15)`, `/x/gi`, `[/a\\/b/dmsuy]`,
  `Object.assign(/x/, {a: 1})`, `Object.assign(new Date(0), {a: 1})`, `new Number(-0)`, `new String('abc')`,
  `Object(Symbol('b'))`, `Object(1n)`, `new Boolean(false)`, `new Uint8Array([1, 2, 3])`, `new Float64Array(2)`,
  `new BigInt64Array(1)`, `new Uint8Array(0)`, `new Uint16Array(200)`, `new ArrayBuffer(3)`, `new ArrayBuffer(120)`,
  `new DataView(new ArrayBuffer(2), 1)`, `new Uint8Array([255]).buffer`, `Promise.resolve(1)`,
  `new Promise(() => {})`, `(() => { const p = Promise.reject(1); p.catch(() => {}); return p })()`,
  `Promise.resolve({a: 1})`, `(function () { return arguments })(1, 2)`, `Math`, `JSON`,
  // Proxies are looked through, and their traps are not called.
  `new Proxy({a: 1}, {get() { throw 1 }, ownKeys() { throw 2 }, getPrototypeOf() { throw 3 }})`,
  `new Proxy([1], {})`, `[new Proxy(function f() {}, {})]`,
  `(() => { const {proxy, revoke} = Proxy.revocable({}, {}); revoke(); return proxy })()`,
  // Directives.
  `'%s is %d years and %i', 'Bob', 42.5, 42.9`, `'%s %s', 1`, `'100%', 1`, `'%%s %s', 'x'`, `'100%%'`,
  `'%d %d %d %d', '0x10', null, true, 'x'`, `'%i %i', '12px', '-3.9'`, `'%f %f', '1.5x', 'y'`,
  `'%j %j', {a: [1, 'x']}, undefined`, `'%j', {toJSON() { return 'j' }}`, `'%O', {a: {b: {c: {d: 1}}}}`,
  `'%s %s', {a: {b: 1}}, [1, [2]]`, `'%s', null`, `'%s', undefined`, `'%s', Symbol('x')`, `'%s', -0`, `'%s', 5n`,
  `'%d', 5n`, `'%i', 5n`, `'%d', -0`, `'%d', 0`, `'%d', Symbol('x')`, `'%c styled', 'color: red'`, `'%x %s', 1`,
  `'a', '%s', 1`, `'%', 1`, `'%s', 'a', {b: 1}, 'c'`, `{a: 1}, '%s', 2`, `'%s%s', 'a', 'b', 'c'`, `'%d', {}`,
  `'x%', 'y'`, `'%s'`, `'käse %s', 'ä'`, `'%'`, `'%s %', 1`,
];

/// Arguments of console.table.
const tables = [
  `[]`, `[[1, 2], [3, 4, 5]]`, `[{a: 1, b: 'x'}, {a: 2, c: true}]`, `[1, 'two', {a: 3}]`, `{x: {v: 1}, y: {v: 2}}`,
  `new Map([['k', 1], [{}, [2]]])`, `new Set([1, 'a'])`, `[{a: 1, b: 2}, {a: 3, b: 4}], ['b']`, `'text'`, `null`,
  `[{a: 1, b: 2}, 5], ['a', 'z']`, `[{o: {p: 1}, q: {r: 1, s: 2, t: 3}, l: [1, 2, 3, 4]}]`, `new Uint8Array([1, 2])`,
  `[{get g() { return 1 }}].map(o => Object.defineProperty(o, 'g', {value: 1}))`, `[{ä: 'käse'}, {ä: 'x'}]`, `{}`,
];

/// Other calls, each with all that it prints.
const calls = [
  `console.log()`, `console.info('%d', 1)`, `console.dir('text', {}), console.dir({a: 1})`, `console.dirxml({a: 1}, 2)`,
  `console.group('G'), console.log('a\\nb'), console.group(), console.log({a: 1}), console.groupEnd(), console.log(''), console.groupEnd(), console.log('c')`,
  `console.groupEnd(), console.groupCollapsed('x', 1), console.warn('y')`,
  `console.count(), console.count('a'), console.count(), console.countReset(), console.count(undefined), console.count(1), console.count('1')`,
  `console.assert(true, 'no'), console.assert(1), console.assert(false), console.assert(0, 'a %s', 'b'), console.assert()`,
];

const sources = [
  ...logged.map((source) => `console.log(${source})`),
  ...tables.map((source) => `console.table(${source})`),
  ...calls,
];

function printed(source) {
  let text = "";
  const stream = new Writable({ write: (chunk, _, done) => (text += chunk, done()) });
  const console = new Console({ stdout: stream, stderr: stream });
  new Function("console", source)(console);
  return text.slice(0, -1);
}

process.stdout.write(`[\n${sources.map((source) => JSON.stringify([source, printed(source)])).join(",\n")}\n]\n`);
