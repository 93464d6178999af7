// Expressions that must give what Node gives. Run with Node: `node web.mjs > web.json`.
// An exception gives its name.
const sources = [
  // atob and btoa.
  `atob('aGVsbG8=')`, `atob('aGVsbG8')`, `atob(' a G\\tV\\ns\\fb\\rG8 = ')`, `atob('')`, `atob('YQ')`, `atob('YR==')`,
  `atob('/+8=').length`, `[...atob('AP+A')].map(c => c.charCodeAt(0))`, `atob('=')`, `atob('YQ=')`, `atob('Y')`,
  `atob('YQ===')`, `atob('Y=Q=')`, `atob('YQ-_')`, `atob('YQ==YQ==')`, `atob('\\u00e4')`, `atob('\\u20ac')`, `atob('a\\u00a0')`,
  `atob()`, `atob(null)`, `atob(12)`, `atob({toString() { return 'YQ' }})`, `atob(Symbol())`, `btoa('hello')`, `btoa('')`,
  `btoa('\\u0000\\u00ff')`, `btoa('\\u0100')`, `btoa('a€')`, `btoa()`, `btoa(null)`, `btoa(undefined)`,
  `atob(btoa('\\u00e4'.repeat(1000))) === '\\u00e4'.repeat(1000)`, `atob.length`, `btoa.name`,
  // TextEncoder.
  `[...new TextEncoder().encode('aä€😀')]`, `[...new TextEncoder().encode('\\ud83d')]`, `[...new TextEncoder().encode('a\\udc00b')]`,
  `[...new TextEncoder().encode()]`, `[...new TextEncoder().encode(null)]`, `new TextEncoder().encode('') instanceof Uint8Array`,
  `new TextEncoder().encoding`, `String(new TextEncoder())`, `typeof TextEncoder.prototype.encode`,
  `(() => { const d = new Uint8Array(4); return [new TextEncoder().encodeInto('a€€', d), [...d]] })()`,
  `(() => { const d = new Uint8Array(3); return [new TextEncoder().encodeInto('😀', d), [...d]] })()`,
  `(() => { const d = new Uint8Array(4); return [new TextEncoder().encodeInto('😀x', d), [...d]] })()`,
  `(() => { const d = new Uint8Array(5); return [new TextEncoder().encodeInto('ä\\ud800b', d), [...d]] })()`,
  `(() => { const d = new Uint8Array(2); return [new TextEncoder().encodeInto('\\u00e9\\u00e9', d), [...d]] })()`,
  `new TextEncoder().encodeInto('a', new Uint8Array(0))`, `new TextEncoder().encodeInto('a', [1])`,
  `new TextEncoder().encodeInto('a', new Uint16Array(1))`, `TextEncoder()`,
  `new (class E extends TextEncoder { f() { return [...this.encode('x')] } })().f()`,
  // TextDecoder.
  `new TextDecoder().decode(new Uint8Array([97, 0xc3, 0xa4, 0xe2, 0x82, 0xac]))`, `new TextDecoder().decode()`,
  `new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97]))`, `new TextDecoder('utf-8', {ignoreBOM: true}).decode(new Uint8Array([0xef, 0xbb, 0xbf, 97])).length`,
  `new TextDecoder().decode(new Uint8Array([0xff, 97, 0xe2, 0x82]))`, `new TextDecoder('utf-8', {fatal: true}).decode(new Uint8Array([0xff]))`,
  `new TextDecoder('utf-8', {fatal: true}).decode(new Uint8Array([0xe2, 0x82]))`, `new TextDecoder('utf-8', {fatal: true}).decode(new Uint8Array([97]))`,
  `new TextDecoder().decode(new Uint8Array([1, 97, 98, 2]).subarray(1, 3))`, `new TextDecoder().decode(new Uint8Array([97]).buffer)`,
  `new TextDecoder().decode(new DataView(new Uint8Array([1, 97]).buffer, 1))`, `new TextDecoder().decode(new Uint16Array([0x6161]))`,
  `new TextDecoder().decode('a')`, `new TextDecoder().decode(null)`, `new TextDecoder().decode([97])`, `new TextDecoder('nope')`, `new TextDecoder('')`, `new TextDecoder('replacement')`,
  `TextDecoder()`, `TextDecoder.prototype.decode.call({})`, `String(new TextDecoder())`,
  `(({encoding, fatal, ignoreBOM}) => [encoding, fatal, ignoreBOM])(new TextDecoder())`,
  `(({encoding, fatal, ignoreBOM}) => [encoding, fatal, ignoreBOM])(new TextDecoder('latin1', {fatal: 1, ignoreBOM: 'x'}))`,
  `['utf8', ' UTF-8\\n', 'unicode-1-1-utf-8', 'utf-16', 'utf-16le', 'utf-16be', 'ascii', 'latin1', 'iso-8859-1', 'windows-1252', 'iso-8859-2', 'koi8-r', 'gbk', 'gb18030', 'big5', 'euc-jp', 'shift_jis', 'euc-kr', 'windows-1251'].map(l => new TextDecoder(l).encoding)`,
  `new TextDecoder('utf-16le').decode(new Uint8Array([97, 0, 0x3d, 0xd8, 0, 0xde]))`, `new TextDecoder('utf-16be').decode(new Uint8Array([0, 97, 0xd8, 0x3d, 0xde, 0]))`,
  `new TextDecoder('utf-16le').decode(new Uint8Array([0xff, 0xfe, 97, 0]))`, `new TextDecoder('utf-16le').decode(new Uint8Array([97]))`,
  `new TextDecoder('utf-16le', {fatal: true}).decode(new Uint8Array([0, 0xd8]))`,
  `new TextDecoder('windows-1251').decode(new Uint8Array([0xcf, 0xf0]))`, `new TextDecoder('shift_jis').decode(new Uint8Array([0x83, 0x65]))`,
  `new TextDecoder('euc-kr', {fatal: true}).decode(new Uint8Array([0xff]))`,
  // Streams.
  `(() => { const d = new TextDecoder(), s = {stream: true}; return [d.decode(new Uint8Array([0xe2]), s), d.decode(new Uint8Array([0x82]), s), d.decode(new Uint8Array([0xac]), s), d.decode()] })()`,
  `(() => { const d = new TextDecoder(), s = {stream: true}; return [d.decode(new Uint8Array([0xe2, 0x82]), s), d.decode(), d.decode(new Uint8Array([97]))] })()`,
  `(() => { const d = new TextDecoder(), s = {stream: true}; return [d.decode(new Uint8Array([0xef]), s), d.decode(new Uint8Array([0xbb, 0xbf, 97]), s), d.decode(new Uint8Array([0xef, 0xbb, 0xbf]), s).length, d.decode()] })()`,
  `(() => { const d = new TextDecoder('utf-16le'), s = {stream: true}; return [d.decode(new Uint8Array([0x3d]), s), d.decode(new Uint8Array([0xd8, 0]), s), d.decode(new Uint8Array([0xde]))] })()`,
  `(() => { const d = new TextDecoder('utf-8', {fatal: true}), s = {stream: true}; const a = d.decode(new Uint8Array([0xe2]), s); let e; try { d.decode() } catch (x) { e = x.name } return [a, e, d.decode(new Uint8Array([97]))] })()`,
  // structuredClone.
  `structuredClone({a: [1, {b: 'x'}], u: undefined, n: null})`, `structuredClone(1n) === 1n`, `Object.is(structuredClone(-0), -0)`, `structuredClone()`,
  `structuredClone(new Map([[{k: 1}, new Set([2])]])).size`, `structuredClone(new Date(5)).getTime()`, `String(structuredClone(/a/gi))`, `structuredClone([1,,3]).hasOwnProperty(1)`,
  `[...structuredClone(new Uint8Array([1, 2, 3]).subarray(1))]`, `structuredClone(new ArrayBuffer(8)).byteLength`, `structuredClone(Object('x')) instanceof String`,
  `(() => { const a = {}; a.a = a; const b = structuredClone(a); return [b.a === b, b !== a] })()`, `(() => { const s = {}; const [a, b] = structuredClone([s, s]); return a === b })()`,
  `(() => { const e = structuredClone(new RangeError('m')); return [e instanceof RangeError, e.name, e.message] })()`,
  `(() => { class A { x = 1 } const c = structuredClone(new A); return [c.constructor === Object, c.x] })()`, `structuredClone({get g() { return 7 }})`,
  `structuredClone(() => {})`, `structuredClone({f() {}})`, `structuredClone(Symbol())`, `structuredClone(new WeakMap())`, `structuredClone(Promise.resolve())`, `structuredClone(new Proxy({}, {}))`,
  `structuredClone({get g() { throw new RangeError('x') }})`,
];

function run(source) {
  try {
    return JSON.stringify((0, eval)(`(${source})`)) ?? "undefined";
  } catch (error) {
    return `throws ${error.name}`;
  }
}

process.stdout.write(`[\n${sources.map((source) => JSON.stringify([source, run(source)])).join(",\n")}\n]\n`);
