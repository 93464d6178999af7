// Calls every function of every intrinsic: each on samples of what it belongs to, with arguments until one of them fits.
// The result says how many there are, and which of them took none of these arguments.

const typedArrays = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    Float32Array, Float64Array, BigInt64Array, BigUint64Array];
if (typeof Float16Array !== 'undefined') typedArrays.push(Float16Array);

function samples() {
    const found = [
        [3, 1, 2], [], {a: 1}, 'Straße ﬁ İstanbul', 42.5, 10n, true, Symbol('s'), Symbol.for('t'),
        new Date(86_400_000), new Date(NaN), /a(?<b>b)?/dgu, new Map([[1, 2]]), new Set([1, 2]), new WeakMap(),
        new WeakSet(), new WeakRef({}), new FinalizationRegistry(() => {}), new ArrayBuffer(16, {maxByteLength: 64}),
        new DataView(new ArrayBuffer(16)), Promise.resolve(1), (function* () { yield 1; })(),
        (async function* () { yield 1; })(), [1].values(), new Map([[1, 2]]).entries(), new Set([1]).values(),
        'ab'[Symbol.iterator](), 'ab'.matchAll(/a/g), new Error('e', {cause: 1}), new AggregateError([1], 'm'),
        new Proxy({}, {}), x => x, async x => x, function* () {}, (function () { return arguments; })(1, 2),
    ];
    for (const type of typedArrays) found.push(new type(8));
    if (typeof Iterator !== 'undefined') found.push(Iterator.from([1, 2]), Iterator.from([1]).map(x => x));
    if (typeof DisposableStack !== 'undefined') found.push(new DisposableStack(), new AsyncDisposableStack());
    for (const name of Object.getOwnPropertyNames(Intl)) {
        const options = {DisplayNames: {type: 'region'}}[name];
        try { found.push(new Intl[name]('de-DE', options)); } catch {}
    }
    found.push(new Intl.Segmenter('de').segment('ein Wort'), new Intl.Segmenter('de').segment('a b')[Symbol.iterator]());
    if (typeof Temporal !== 'undefined') {
        found.push(Temporal.Instant.fromEpochMilliseconds(0), Temporal.PlainDate.from('2024-02-29'),
            Temporal.PlainTime.from('12:34'), Temporal.PlainDateTime.from('2024-02-29T12:34'),
            Temporal.PlainYearMonth.from('2024-02'), Temporal.PlainMonthDay.from('02-29'),
            Temporal.Duration.from({hours: 1}), Temporal.ZonedDateTime.from('2024-02-29T12:34[Europe/Berlin]'));
    }
    for (const name of ['TextEncoder', 'TextDecoder']) {
        if (typeof globalThis[name] === 'function') found.push(new globalThis[name]());
    }
    return found;
}

// From the plainest to the most particular.
const argumentLists = () => [
    [], [1], ['a'], [x => x], [[3, 1, 2]], [{}], [1, 2], ['a', 'b'], [x => x, 0], [/a/g, 'b'], [0, 1, 2], [1n], [8, 1n],
    [{a: 1}, 'a'], [x => x, {a: 1}, [1]], [{a: 1}, 'b', {value: 1, configurable: true}], [{}, {}], [Symbol.iterator],
    [new Uint8Array(8)], [new Uint8Array(4), 1], [new Int32Array(8), 0], [new Int32Array(8), 0, 1],
    [new Int32Array(8), 0, 0, 1], [new BigInt64Array(8), 0, 1n], [[1, 2], x => x], [new Set([1])], [new Map([[1, 2]])],
    [{}, 1], [Promise.resolve(1)], [[Promise.resolve(1)]], ['NFD'], ['de', {}], ['de'], ['calendar'], ['2024-02-29'],
    ['2024-02-29T12:34[Europe/Berlin]'], ['PT1H'], ['12:34'], ['2024-02'], [{hours: 1}], [{days: 1}], ['hour'], ['day'],
    ['UTC'], ['Europe/Berlin'], [{calendar: 'iso8601', year: 2024, month: 2, day: 29}], ['region'], ['DE'],
    [1, 'day'], [['a', 'b']], [new Date(0)], [new Date(0), new Date(1e9)], [0, 1e9], ['{"a": [1]}'], ['%41'], ['0x10', 16],
    [new ArrayBuffer(8)], [new ArrayBuffer(8), 0, 8], [{next() { return {done: true}; }, [Symbol.iterator]() { return this; }}],
    [new Error('e')], ['from', {raw: ['a']}], [{raw: ['a', 'b']}, 1], [function () { return 1; }, null, []],
    [class {}, []], [2024, 2, 29], [2024, 2], [2, 29], [0n, 'UTC'], [0n], ['YWJj'], ['616263'], ['gregory'],
    ['2024-02-29T12:34Z'], ['2024-02-29T12:34Z', '2024-02-29T12:34Z'], ['number'], ['de', {type: 'region'}],
    ['a', new Uint8Array(8)], ['12:34', '12:35'], [{hour: 1}], ['next'], [{months: 1}],
    ['2024-02-29T12:34[UTC]', '2024-02-29T12:34[UTC]'], [date()], ['2024-03-01'], ['2024-02-29', '2024-03-01'], ['PT1H', 'PT2H'], [{timeZone: 'UTC', plainTime: '12:00'}],
    [{year: 2024}], [{day: 1}], ['PT1H', {relativeTo: '2024-01-01'}],
];
function date() {
    return typeof Temporal === 'undefined' ? new Date(0) : Temporal.PlainDate.from('2024-02-29');
}

// What the host has put there, or what would wait or make code from text.
const others = new Set(['callTool', 'tools', 'console', 'setTimeout', 'clearTimeout', 'eval', 'Function']);
const functions = new Map();
const objects = [];
(function visit(object, path, depth) {
    if (object === null || (typeof object !== 'object' && typeof object !== 'function') || objects.includes(object)) return;
    objects.push(object);
    if (depth > 5) return;
    for (const key of Reflect.ownKeys(object)) {
        if (path === '' && others.has(key)) continue;
        const property = Reflect.getOwnPropertyDescriptor(object, key);
        const name = `${path}.${String(key)}`;
        for (const part of ['value', 'get', 'set']) {
            const value = property[part];
            if (typeof value === 'function' && !functions.has(value)) functions.set(value, {name, holder: object});
            visit(value, name, depth + 1);
        }
    }
})(globalThis, '', 0);
const AsyncGenerator = Object.getPrototypeOf(Object.getPrototypeOf((async function* () {})()));
for (const prototype of [Object.getPrototypeOf([].values()), Object.getPrototypeOf(new Map().entries()), AsyncGenerator]) {
    for (const key of Reflect.ownKeys(prototype)) {
        if (typeof prototype[key] === 'function') functions.set(prototype[key], {name: String(key), holder: prototype});
    }
}

const makers = new Set(['.Function', '.GeneratorFunction', '.AsyncFunction', '.AsyncGeneratorFunction']);
const refused = [];
let count = 0;
for (const [f, {name, holder}] of functions) {
    if (makers.has(name) || name.endsWith('.constructor')) continue;
    count++;
    let fits = false;
    for (let index = 0; index < argumentLists().length && !fits; index++) {
        const receivers = samples().filter(sample => {
            try { return sample === holder || holder.isPrototypeOf(Object(sample)); } catch { return false; }
        });
        for (const receiver of [...receivers, holder, undefined]) {
            try { Reflect.apply(f, receiver, argumentLists()[index]); fits = true; } catch {}
        }
        try { Reflect.construct(f, argumentLists()[index]); fits = true; } catch {}
    }
    if (!fits) refused.push(name);
}
({count, refused})
