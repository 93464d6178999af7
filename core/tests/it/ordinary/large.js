// Much of everything, taken and let go: what the heap asks of the system when it grows, moves and shrinks.
let count = 0;
const random = (seed => () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff))(1);
for (let round = 0; round < 2; round++) {
    const numbers = Array.from({length: 100_000}, random);
    numbers.sort((a, b) => a - b); numbers.toSorted(); numbers.map(String).sort();
    const map = new Map(numbers.map(n => [n, {n}])), set = new Set(numbers);
    count += map.size + set.size;
    const text = JSON.stringify(numbers);
    count += JSON.parse(text).length + text.split(',').length + text.replace(/\d/g, 'x').length;
    for (const type of [Int8Array, Uint16Array, Float32Array, Float64Array, BigInt64Array]) {
        const array = new type(300_000);
        array.fill(type === BigInt64Array ? 7n : 7); array.sort(); array.reverse(); array.slice(10).set(array.subarray(20));
        count += array.length;
    }
    let buffer = new ArrayBuffer(1 << 20, {maxByteLength: 1 << 24});
    for (let size = 20; size <= 24; size++) buffer.resize(1 << size);
    buffer = buffer.transfer(1 << 12);
    count += structuredClone({buffer, map: new Map([[1, new Date(0)]]), numbers}).numbers.length;
    let rope = 'é';
    for (let i = 0; i < 20; i++) rope += rope;
    for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD']) count += rope.normalize(form).length;
    count += rope.toUpperCase().length + encodeURIComponent(rope).length + [...rope].length;
    count += new TextDecoder().decode(new TextEncoder().encode(rope)).length;
    count += ((7n ** 40_000n) * (3n ** 40_000n)).toString(16).length;
}
for (const source of ['(a+)+b', '\\p{L}+', '(?<=x)y|z', '^(?:[^"\\\\]|\\\\.)*$', '(\\w+)\\s\\1', '[\\p{Emoji}--[a-z]]']) {
    const flags = source.includes('--') ? 'gv' : 'gu';
    count += [...'aaab xy the the "q" 😀 λ'.repeat(500).matchAll(new RegExp(source, flags))].length;
}
const hot = (a, b) => { let sum = 0; for (let i = 0; i < 1_000_000; i++) sum += Math.sin(a * i) * b ^ i; return sum; };
count += Number.isFinite(hot(0.1, 3)) ? 1 : 0;
const deep = n => n === 0 ? 0 : 1 + deep(n - 1);
try { deep(1e7); } catch (error) { count += error instanceof Error ? 1 : 0; }
class Node { constructor(next) { this.next = next; } }
let chain = null;
for (let i = 0; i < 1_000_000; i++) chain = i % 100_000 === 0 ? null : new Node(chain);
const weak = new WeakMap();
for (let i = 0; i < 50_000; i++) weak.set({}, i);
({count, refused: []})
