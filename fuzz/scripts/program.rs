//! The grammar: random programs of calls of whatever a realm has, with arguments that change what the callee works on.
//!
//! A program is a list of statements, each of which can be left out: this is how a finding is made smaller. Its first
//! line says under which [`Options`] it runs, so that a file is all that it takes to repeat it.
//!
//! It is one long file, because most of it is the grammar's table, which is read as a whole.

use fastrand::Rng;

/// How a program is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Of a processor; four times as much on the wall.
    pub time_ms: u64,
    pub code_generation: bool,
    pub body: bool,
    /// A worker that has run nothing before, so that its memory is the same each time.
    pub fresh: bool,
}

impl Options {
    const MARK: &str = "// fuzz-scripts:";

    fn line(&self) -> String {
        let flag = |on: bool, name: &str| if on { format!(" {name}") } else { String::new() };
        format!(
            "{} time_ms={}{}{}{}",
            Self::MARK,
            self.time_ms,
            flag(self.code_generation, "code-generation"),
            flag(self.body, "body"),
            flag(self.fresh, "fresh"),
        )
    }

    /// What the first line of a program says; anything else is run with the defaults.
    pub fn of(source: &str) -> Self {
        let line = source.lines().next().and_then(|line| line.strip_prefix(Self::MARK)).unwrap_or_default();
        let has = |name| line.split_whitespace().any(|word| word == name);
        let timeout = line.split_whitespace().find_map(|word| word.strip_prefix("time_ms=")?.parse().ok());
        Options {
            time_ms: timeout.unwrap_or(400),
            code_generation: has("code-generation"),
            body: has("body"),
            fresh: has("fresh"),
        }
    }
}

/// A program.
pub struct Program {
    pub options: Options,
    pub statements: Vec<String>,
}

impl Program {
    pub fn source(&self) -> String {
        format!("{}\n{}\n", self.options.line(), self.statements.join("\n"))
    }
}

/// Lists what script can call: the expressions of all functions that can be reached from the global object.
pub const LIST_BUILTINS: &str = r#"
const found = new Map(), names = [];
function walk(value, path, depth) {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function') || found.has(value)) return;
    found.set(value, path);
    if (typeof value === 'function' && path !== 'globalThis') names.push(path);
    if (depth > 4) return;
    for (const key of Reflect.ownKeys(value)) {
        const place = typeof key === 'symbol' ? `[${key.description}]` : /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
        if (typeof key === 'symbol' && !key.description?.startsWith('Symbol.')) continue;
        const property = Reflect.getOwnPropertyDescriptor(value, key);
        const at = path === 'globalThis' && typeof key === 'string' && place[0] === '.' ? key : path + place;
        const quoted = typeof key === 'symbol' ? key.description : JSON.stringify(key);
        for (const half of ['get', 'set']) if (property[half]) walk(property[half], `Reflect.getOwnPropertyDescriptor(${path}, ${quoted}).${half}`, depth + 1);
        if ('value' in property) walk(property.value, at, depth + 1);
    }
}
walk(globalThis, 'globalThis', 0);
for (const hidden of ['Object.getPrototypeOf(Int8Array)', 'Object.getPrototypeOf(async function () {}).constructor', 'Object.getPrototypeOf(function* () {})', 'Object.getPrototypeOf(async function* () {})', 'Object.getPrototypeOf([].values())', 'Object.getPrototypeOf(new Map().values())', "Object.getPrototypeOf(''.matchAll(/a/g))", 'Object.getPrototypeOf(Iterator.from({next() {}}))', '[].values().map(x => x)', 'Object.getPrototypeOf(new Intl.Segmenter().segment(""))'])
    walk(eval.call ? (0, Function)(`return ${hidden}`)() : 0, hidden, 2);
names.join('\n')
"#;

/// What every program begins with: `t` runs what may throw, `deep` what is near the end of the stack.
const PRELUDE: &str = "var last, fuel = 300, t = f => { if (fuel-- > 0) try { return f() } catch (e) { last = e } }";

const NEAR_THE_END: &str = "function deep(enter, act) { let left = 80; (function down() { try { enter(down) } catch (e) { if (left-- > 0) t(act); throw e } })() }";

/// Bytes that a worker may hold, in MiB.
pub const MEMORY_LIMIT_MIB: u64 = 32;

pub struct Generator<'a> {
    rng: Rng,
    builtins: &'a [String],
    /// Variables that the statements so far have made.
    variables: usize,
}

impl<'a> Generator<'a> {
    pub fn program(seed: u64, builtins: &'a [String]) -> Program {
        let mut this = Generator { rng: Rng::with_seed(seed), builtins, variables: 0 };
        let near_memory = this.chance(12);
        let options = Options {
            time_ms: [60, 150, 150, 400][this.rng.usize(0..4)],
            code_generation: this.chance(50),
            body: this.chance(30),
            fresh: near_memory || this.chance(5),
        };
        let mut statements = vec![PRELUDE.to_owned(), NEAR_THE_END.to_owned()];
        for _ in 0..this.rng.usize(if near_memory { 1..2 } else { 2..6 }) {
            let value = this.value(2);
            statements.push(format!("var v{} = t(() => {value})", this.variables));
            this.variables += 1;
        }
        match near_memory {
            true => this.near_the_limit_of_memory(&mut statements),
            false => {
                for _ in 0..this.rng.usize(3..16) {
                    let statement = this.statement(2);
                    statements.push(statement);
                }
            }
        }
        let result = this.value(2);
        statements.push(if options.body { format!("return {result}") } else { format!(";({result})") });
        // A statement is a line.
        debug_assert!(statements.iter().all(|statement| !statement.contains('\n')));
        Program { options, statements }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn one_of(&mut self, list: &[&'static str]) -> &'static str {
        list[self.rng.usize(0..list.len())]
    }

    fn number(&mut self) -> String {
        match self.rng.u32(0..10) {
            0..4 => self.rng.i32(-3..20).to_string(),
            4 => self.rng.u32(..).to_string(),
            5 => (1u64 << self.rng.u32(0..54)).to_string(),
            6 => self.rng.f64().to_string(),
            _ => self.text(&[
                "-0",
                "NaN",
                "Infinity",
                "-Infinity",
                "1e9",
                "2 ** 31",
                "2 ** 32 - 1",
                "-1",
                "65536",
                "1e308",
                "0.1",
            ]),
        }
    }

    fn text(&mut self, list: &[&'static str]) -> String {
        self.one_of(list).to_owned()
    }

    fn length(&mut self) -> u32 {
        match self.rng.u32(0..10) {
            0..6 => self.rng.u32(0..70),
            6..9 => self.rng.u32(70..20_000),
            _ => self.rng.u32(20_000..1_500_000),
        }
    }

    fn string(&mut self) -> String {
        match self.rng.u32(0..12) {
            0 => format!(
                "'{}'.repeat({})",
                self.text(&["x", "é", "\\ud800", "\\u0001", "%j", "\\ufdfa", "ab\\n"]),
                self.length()
            ),
            1 => format!("String({})", self.number()),
            2 => {
                let length = self.rng.usize(0..12);
                let letters: Vec<&str> = (0..length)
                    .map(|_| {
                        self.one_of(&[
                            "%",
                            "s",
                            "d",
                            "j",
                            "o",
                            "O",
                            "c",
                            "i",
                            "f",
                            "%s",
                            "%j",
                            "%O",
                            "\\u{1f600}",
                            "\\ud83d",
                            "\\0",
                            "\\x1b[31m",
                            " ",
                            "a",
                            "1",
                            "-",
                            ".",
                            "/",
                            "{",
                            "[",
                        ])
                    })
                    .collect();
                format!("'{}'", letters.concat())
            }
            3 => self.text(&[
                "'en-u-ca-chinese'",
                "'de-u-co-phonebk'",
                "'ar-EG'",
                "'NFKD'",
                "'Asia/Tokyo'",
                "'2024-02-30T25:61'",
                "'base64'",
                "'utf-16le'",
            ]),
            _ => self.text(&[
                "''",
                "'a'",
                "'length'",
                "'constructor'",
                "'__proto__'",
                "'then'",
                "'toJSON'",
                "'0'",
                "'-1'",
                "'message'",
                "'stack'",
                "'äöü'",
                "'next'",
                "'{\"a\":[1,2]}'",
                "'a'.repeat(100).split('')",
                "`${v0}`",
            ]),
        }
    }

    /// An expression without a comma at its top level.
    fn value(&mut self, depth: u32) -> String {
        if depth == 0 || self.chance(25) {
            return match self.rng.u32(0..10) {
                0..3 => self.number(),
                3..6 => self.string(),
                6..8 if self.variables > 0 => format!("v{}", self.rng.usize(0..self.variables)),
                _ => self
                    .text(&[
                        "undefined",
                        "null",
                        "true",
                        "10n ** 50n",
                        "-1n",
                        "Symbol.iterator",
                        "Symbol('s')",
                        "globalThis",
                        "last",
                        "[]",
                        "{}",
                        "() => 0",
                    ])
                    .replace("{}", "({})"),
            };
        }
        let d = depth - 1;
        match self.rng.u32(0..34) {
            0 => format!("[{}, {}, {}]", self.value(d), self.value(d), self.value(d)),
            1 => format!("({{a: {}, [{}]: {}}})", self.value(d), self.key(), self.value(d)),
            2 => format!("new Array({}).fill({})", self.length(), self.value(0)),
            3 => format!("Object.assign([], {{length: {}, 7: {}}})", self.length(), self.value(0)),
            4 => format!("new Map([[{}, {}], [{}, {}]])", self.value(d), self.value(d), self.value(0), self.value(0)),
            5 => format!("new Set([{}, {}, {}])", self.value(d), self.value(0), self.value(0)),
            6 => self.buffer(),
            7 => {
                let buffer = self.buffer();
                let kind = self.text(&[
                    "Uint8Array",
                    "Float64Array",
                    "Uint8ClampedArray",
                    "BigInt64Array",
                    "Int16Array",
                    "DataView",
                    "Float16Array",
                ]);
                format!("new {kind}({buffer})")
            }
            8 => {
                let kind = self.text(&["Uint8Array", "Float64Array", "Int32Array", "BigUint64Array", "Float16Array"]);
                format!("new {kind}({})", self.length())
            }
            9 => format!("new Proxy({}, {})", self.object(d), self.traps(d)),
            10 => format!(
                "t(() => {{ const p = Proxy.revocable({}, {{}}); p.revoke(); return p.proxy }})",
                self.object(d)
            ),
            11 | 12 => self.function(d),
            13 => format!(
                "({{{}: {}, toString: {}, valueOf: {}}})",
                self.text(&[
                    "toJSON",
                    "then",
                    "next",
                    "[Symbol.iterator]",
                    "[Symbol.toPrimitive]",
                    "[Symbol.asyncIterator]",
                    "[Symbol.dispose]"
                ]),
                self.function(d),
                self.function(0),
                self.function(0)
            ),
            14 => self.error(d),
            15 => format!("new Date({})", self.number()),
            16 => format!(
                "new RegExp({}, {})",
                self.text(&[
                    "'(a*)*b'",
                    "'\\\\p{L}+'",
                    "'(?<n>.)|(?<n>..)'",
                    "'[\\\\q{ab}&&\\\\w]'",
                    "'.'",
                    "'(?<=a)b'"
                ]),
                self.text(&["'g'", "'u'", "'v'", "'y'", "'gi'", "'d'"])
            ),
            17 => format!(
                "Promise.{}({})",
                self.text(&["resolve", "reject", "all", "race", "any", "allSettled", "try"]),
                self.value(d)
            ),
            18 => format!(
                "new {}({})",
                self.text(&["WeakRef", "WeakSet", "Object", "Boolean", "Number", "String"]),
                self.object(d)
            ),
            19 => format!(
                "Object.{}({})",
                self.text(&["freeze", "seal", "preventExtensions", "create", "getOwnPropertyDescriptors", "entries"]),
                self.object(d)
            ),
            20 => format!("(function* () {{ yield {}; {} }})()", self.value(d), self.act(d)),
            21 => format!("(async () => {{ {}; return {} }})()", self.act(d), self.value(d)),
            22 => format!("(function () {{ return arguments }})({}, {})", self.value(d), self.value(0)),
            23 => format!(
                "new Intl.{}({}, {})",
                self.text(&[
                    "NumberFormat",
                    "DateTimeFormat",
                    "Collator",
                    "Segmenter",
                    "PluralRules",
                    "ListFormat",
                    "Locale",
                    "RelativeTimeFormat"
                ]),
                self.string(),
                self.object(0)
            ),
            24 => format!(
                "Temporal.{}.from({})",
                self.text(&["PlainDate", "Duration", "ZonedDateTime", "PlainTime"]),
                self.text(&[
                    "'2024-02-29'",
                    "'P1Y2M3DT4H'",
                    "'2024-01-01T00:00[Asia/Tokyo]'",
                    "'12:34:56'",
                    "{year: 2024, month: 2, day: 30}"
                ])
            ),
            25 => format!(
                "(() => {{ let o = {}; for (let i = 0; i < {}; i++) o = {}; return o }})()",
                self.value(0),
                self.text(&["30", "127", "200", "600", "20000"]),
                self.text(&[
                    "[o]",
                    "({o})",
                    "new Map([[o, 1]])",
                    "Object.create(o instanceof Object ? o : null)",
                    "new Error('e', {cause: o})",
                    "o + o"
                ])
            ),
            26 => format!("(() => {{ const o = {}; o.self = o; return o }})()", self.object(0)),
            27 => format!("({}) + {}", self.value(d), self.string()),
            28 => format!("t(() => {})", self.call(d)),
            29 => format!(
                "JSON.parse({})",
                self.text(&[
                    "'[1,[2,{\"a\":null}]]'",
                    "'{\"__proto__\":1}'",
                    "'['.repeat(900) + ']'.repeat(900)",
                    "JSON.stringify({a: [1]})"
                ])
            ),
            30 => "class { static #p = 1; static get p() { return this.#p } static { t(() => this.p) } }".to_owned(),
            31 => format!("[() => 0, 1e9].concat({})", self.value(d)),
            _ => self.object(d),
        }
    }

    fn key(&mut self) -> String {
        self.text(&[
            "0",
            "1",
            "'length'",
            "'constructor'",
            "'then'",
            "'toJSON'",
            "'stack'",
            "'message'",
            "'name'",
            "'cause'",
            "Symbol.iterator",
            "Symbol.species",
            "Symbol.toStringTag",
            "Symbol.toPrimitive",
            "Symbol.hasInstance",
            "Symbol.asyncIterator",
            "'__proto__'",
            "'prototype'",
            "'next'",
            "'valueOf'",
            "'toString'",
            "'exec'",
            "'lastIndex'",
            "'byteLength'",
            "'\\u0001'.repeat(1e7)",
        ])
    }

    fn object(&mut self, depth: u32) -> String {
        if self.variables > 0 && self.chance(40) {
            return format!("Object(v{})", self.rng.usize(0..self.variables));
        }
        if depth > 0 && self.chance(50) {
            return format!("Object({})", self.value(depth));
        }
        self.text(&[
            "({})",
            "[]",
            "[1, 2, 3]",
            "[, 1, , 2]",
            "(() => 0)",
            "new Map",
            "new Set",
            "/a/g",
            "new Date(0)",
            "Object.create(null)",
            "new Error('e')",
            "Array.prototype",
            "Object.prototype",
            "new Uint8Array(8)",
            "Promise.prototype",
            "Error",
            "console",
        ])
    }

    fn buffer(&mut self) -> String {
        let length = self.length();
        match self.rng.u32(0..3) {
            0 => format!("new ArrayBuffer({length})"),
            1 => format!("new ArrayBuffer({length}, {{maxByteLength: {}}})", length * 2 + 8),
            _ => "t(() => { const b = new ArrayBuffer(64); b.transfer(); return b })".to_owned(),
        }
    }

    fn traps(&mut self, depth: u32) -> String {
        let mut traps = String::from("{");
        for _ in 0..self.rng.u32(1..4) {
            let name = self.one_of(&[
                "get",
                "set",
                "has",
                "ownKeys",
                "getOwnPropertyDescriptor",
                "getPrototypeOf",
                "defineProperty",
                "deleteProperty",
                "apply",
                "construct",
                "isExtensible",
            ]);
            let handler = self.function(depth.saturating_sub(1));
            traps += &format!("{name}: {handler}, ");
        }
        traps + "}"
    }

    /// A function, mostly one that does something to what its caller works on.
    fn function(&mut self, depth: u32) -> String {
        let act = self.act(depth);
        let value = self.value(0);
        match self.rng.u32(0..9) {
            0 => format!("() => {value}"),
            1..5 => format!("() => {{ {act}; return {value} }}"),
            5 => format!("(a, b) => {{ {act}; return typeof a === 'number' ? a - b : a }}"),
            6 => format!("function (...a) {{ {act}; return Reflect.get(Object(this), {}) }}", self.key()),
            // Never called as they are: their bodies are not compiled.
            7 => self.text(&[
                "function () { return class {} }",
                "class A { m() { return class B {} } }",
                "async () => { await 0 }",
                "function* g() { yield* g() }",
                "class extends Array {}",
                "async function* () {}",
            ]),
            _ => format!("function f() {{ if (fuel-- > 0) f(); {act} }}"),
        }
    }

    fn error(&mut self, depth: u32) -> String {
        let value = self.value(depth.min(1));
        match self.rng.u32(0..6) {
            0 => format!(
                "Object.assign(new {}('m'), {{stack: {value}}})",
                self.text(&["Error", "TypeError", "RangeError"])
            ),
            1 => format!(
                "Object.defineProperty(new Error('m'), {}, {{get: {}}})",
                self.text(&["'stack'", "'name'", "'message'", "'cause'", "'code'"]),
                self.function(0)
            ),
            2 => format!("new Error({value}, {{cause: {}}})", self.value(0)),
            3 => format!("new AggregateError([{value}, {}], 'm')", self.value(0)),
            4 => format!("new SuppressedError({value}, {}, 'm')", self.value(0)),
            _ => format!("Object.setPrototypeOf(new Error({value}), {})", self.object(0)),
        }
    }

    /// A statement that changes what is in use: resized, detached, emptied, replaced.
    fn act(&mut self, depth: u32) -> String {
        let variable = match self.variables {
            0 => "globalThis.x".to_owned(),
            known => format!("v{}", self.rng.usize(0..known)),
        };
        match self.rng.u32(0..16) {
            0 => format!("t(() => {variable}.length = {})", self.rng.u32(0..70)),
            1 => format!("t(() => ({variable}.buffer ?? {variable}).resize({}))", self.rng.u32(0..70)),
            2 => format!("t(() => ({variable}.buffer ?? {variable}).transfer())"),
            3 => format!("t(() => {variable}.clear())"),
            4 => format!("t(() => structuredClone({variable}, {{transfer: [{variable}.buffer ?? {variable}]}}))"),
            5 => format!("{variable} = {}", self.value(0)),
            6 => format!("t(() => {variable}.push({}))", self.value(0)),
            7 => format!("throw {}", self.value(0)),
            8 => format!("t(() => {variable}.lastIndex = {})", self.number()),
            9 => format!("t(() => {variable}.compile({}))", self.string()),
            10 => "return".to_owned(),
            11 => self.define(),
            12 if depth > 0 => self.console(depth - 1),
            _ if depth > 0 => format!("t(() => {})", self.call(depth - 1)),
            _ => "0".to_owned(),
        }
    }

    fn define(&mut self) -> String {
        let on = match self.chance(50) {
            true => self.text(&[
                "Array.prototype",
                "Object.prototype",
                "Promise.prototype",
                "Promise",
                "RegExp.prototype",
                "Map.prototype",
                "Error.prototype",
                "Error",
                "Function.prototype",
                "String.prototype",
                "Array",
                "globalThis",
                "Symbol.prototype",
            ]),
            false => self.object(0),
        };
        let key = self.key();
        let what = match self.chance(50) {
            true => format!(
                "get: {}, set() {{}}",
                self.text(&[
                    "() => 0",
                    "function () { return this }",
                    "() => { throw 1 }",
                    "() => t(() => console.log(v0))",
                    "() => Promise.resolve(1)"
                ])
            ),
            false => format!("value: {}, writable: true", self.value(0)),
        };
        format!(
            "t(() => Object.defineProperty({on}, {key}, {{{what}, configurable: true, enumerable: {}}}))",
            self.rng.bool()
        )
    }

    fn console(&mut self, depth: u32) -> String {
        let method = self.one_of(&[
            "log",
            "log",
            "info",
            "warn",
            "error",
            "debug",
            "dir",
            "table",
            "time",
            "timeLog",
            "timeEnd",
            "count",
            "countReset",
            "assert",
            "group",
            "groupEnd",
            "trace",
            "dirxml",
        ]);
        let arguments = self.arguments(depth);
        format!("t(() => console.{method}({arguments}))")
    }

    fn arguments(&mut self, depth: u32) -> String {
        let arguments: Vec<String> = (0..self.rng.usize(0..4)).map(|_| self.value(depth)).collect();
        arguments.join(", ")
    }

    fn builtin(&mut self) -> &'a str {
        &self.builtins[self.rng.usize(0..self.builtins.len())]
    }

    fn call(&mut self, depth: u32) -> String {
        let d = depth.min(1);
        let builtin = self.builtin();
        let arguments = self.arguments(d);
        match self.rng.u32(0..5) {
            0 => format!("Reflect.construct({builtin}, [{arguments}])"),
            // On what it is made for.
            1 | 2 if builtin.contains(".prototype") && !builtin.contains("getPrototypeOf(") => {
                let home = builtin.split(".prototype").next().unwrap_or_default();
                let home = home.rsplit('(').next().unwrap_or_default();
                format!("Reflect.apply({builtin}, Reflect.construct({home}, [{}]), [{arguments}])", self.arguments(0))
            }
            _ => format!("Reflect.apply({builtin}, {}, [{arguments}])", self.value(d)),
        }
    }

    fn statement(&mut self, depth: u32) -> String {
        let d = depth.saturating_sub(1);
        match self.rng.u32(0..60) {
            48..60 | 0..12 => format!("t(() => {})", self.call(depth)),
            12..15 => self.define(),
            15..21 => self.console(depth),
            21..23 => {
                format!("v{} = t(() => structuredClone({}))", self.rng.usize(0..self.variables), self.value(depth))
            }
            23..26 => {
                let tool =
                    self.one_of(&["echo", "echo", "later", "later", "fail", "fail", "never", "escaped", "nobody"]);
                let then = self.function(d);
                format!(
                    "t(() => callTool('{tool}', {}).{}({then}))",
                    self.value(d),
                    self.one_of(&["then", "catch", "finally"])
                )
            }
            26..29 => format!("t(() => setTimeout({}, {}, {}))", self.function(d), self.rng.u32(0..5), self.value(d)),
            29 => format!("t(() => setTimeout.apply(null, {}))", self.value(d)),
            30 => format!("t(() => queueMicrotask({}))", self.function(d)),
            31 => format!(
                "t(() => Promise.{}([{}, {}]).then({}))",
                self.one_of(&["all", "race", "any", "allSettled"]),
                self.value(d),
                self.value(d),
                self.function(d)
            ),
            32 => format!("t(async () => {{ for await (const x of {}) {} }})", self.value(d), self.act(d)),
            33 => format!(
                "t(() => {{ for (const x of {}) if (fuel-- > 0) {{ {} }} else break }})",
                self.value(d),
                self.act(d)
            ),
            34..37 => {
                let times = self.one_of(&["10", "10", "90", "90", "999", "9999"]);
                let what = match self.rng.u32(0..4) {
                    0 => format!("'x'.repeat({})", self.one_of(&["1e3", "1e5", "1.9e6"])),
                    1 => format!("[() => 0, 1e9].concat(new Array({}).fill(1.5))", self.one_of(&["1e3", "2e4", "4e5"])),
                    _ => self.value(1),
                };
                let call = match self.rng.u32(0..6) {
                    0 => format!("console.{}(i + what)", self.one_of(&["time", "count", "log", "group"])),
                    1 => format!("setTimeout({}, 1e9, what)", self.function(0)),
                    2 => "setTimeout.apply(null, what)".to_owned(),
                    3 => "structuredClone(what)".to_owned(),
                    4 => "callTool('never', what)".to_owned(),
                    _ => self.call(0),
                };
                format!("t(() => {{ const what = {what}; for (let i = 0; i < {times}; i++) {call} }})")
            }
            37..41 => {
                let enter = self.text(&[
                    "f => f()",
                    "f => [1].map(f)",
                    "f => JSON.stringify({toJSON: f})",
                    "f => 'a'.replace(/a/, f)",
                    "f => [2, 1].sort(f)",
                    "f => Reflect.construct(Map, [[[1, 1]]], new Proxy(function () {}, {get: f}))",
                    "f => new Proxy({}, {get: f}).x",
                    "f => `${{toString: f}}`",
                    "f => structuredClone({get a() { f() }})",
                    "f => console.log(new Proxy({}, {ownKeys: f}), '%j', {toJSON: f})",
                    "f => console.log('%s', {toString: f})",
                    "f => Array.from({length: 1}, f)",
                    "f => new Promise(f)",
                    "f => callTool('echo', {get a() { f() }})",
                    "f => { for (const x of {[Symbol.iterator]: f}); }",
                    "f => ({get a() { return f() }}).a",
                    "f => new Uint8Array(new Proxy([1], {get: f}))",
                    "f => Object.defineProperty({}, 'x', {get value() { f() }})",
                ]);
                let act = match self.chance(60) {
                    true => self.console(1),
                    false => format!("t(() => {})", self.call(1)),
                };
                format!("t(() => deep({enter}, () => {{ fuel = 1e3; {act} }}))")
            }
            41 => {
                let text = match self.chance(50) {
                    true => "'y'.repeat(1e6) + '%j'".to_owned(),
                    false => format!("{} + '%j'", self.string()),
                };
                format!(
                    "v0 = {{toJSON() {{ if (fuel-- > 0) console.log(v0.text, v0); return 1 }}, text: {text}}}; t(() => console.log(v0.text, v0))"
                )
            }
            42 => {
                let value = self.value(1);
                format!(
                    "t(() => {{ function hot(a, b) {{ return a[b] }} for (let i = 0; i < 3000; i++) t(() => hot(i < 2900 ? [1, 2] : {value}, i % 3)); fuel = 300 }})"
                )
            }
            43 => format!(
                "t(() => (0, eval)({}))",
                self.text(&[
                    "'1 + 1'",
                    "'var q = function () { return class {} }; q'",
                    "'throw new Error'",
                    "'('.repeat(5000)",
                    "'}'"
                ])
            ),
            44 => self.text(&[
                "for (;;);",
                "t(() => { while (true) [1].map(String) })",
                "(function f() { queueMicrotask(f) })()",
                "setTimeout(() => { for (;;); })",
                "var grow = []; for (;;) grow.push(new Array(1000).fill(grow))",
            ]),
            45 => format!("t(() => {{ throw {} }})", self.error(d)),
            46 => format!("t(() => Object.setPrototypeOf({}, {}))", self.object(0), self.object(d)),
            _ => match self.act(depth) {
                act if act == "return" || act.starts_with("throw") => format!("t(() => {{ {act} }})"),
                act => act,
            },
        }
    }

    /// Straight on, because a call or a loop would look up and end the execution: a little less than the `largest` buffer
    /// that a worker gives, and then one thing that needs memory.
    fn near_the_limit_of_memory(&mut self, statements: &mut Vec<String>) {
        if self.chance(20) {
            let sum = (0..4000).map(|i| format!("x{i}+'s{i}'+{{a:{i}}}")).collect::<Vec<_>>().join(",");
            statements.push(format!("function big() {{ return [{sum}] }}"));
            statements.push("var v0 = big".to_owned());
        }
        let call = match self.rng.u32(0..10) {
            0..3 => self.call(1),
            3..5 => self.console(1).replace("t(() => console", "(console"),
            5..8 => self.service(),
            _ => self.value(2),
        };
        // Large blocks are of whole pages; the rest is to the byte.
        let pages = [0, 0, 0, 100_000, 1_000_000, 4_000_000][self.rng.usize(0..6)];
        let (pages, rest) = (self.rng.u32(0..=pages), self.rng.u32(0..20_480));
        statements
            .push(format!("var filling = new ArrayBuffer(largest - {pages} - 20480), rest = new Uint8Array({rest})"));
        statements.push(format!("try {{ {call} }} catch (e) {{ last = e }}"));
    }

    /// What a process makes once, when it is first asked for.
    fn service(&mut self) -> String {
        let locale = self.one_of(&[
            "zh-u-ca-chinese",
            "ko-u-ca-dangi",
            "fa-u-ca-persian",
            "he-u-ca-hebrew",
            "ja-u-ca-japanese",
            "ar-u-nu-arab",
            "de-u-co-phonebk",
            "th",
            "en",
            "und",
        ]);
        match self.rng.u32(0..8) {
            0 => format!(
                "new Intl.DateTimeFormat('{locale}', {{dateStyle: 'full', timeStyle: 'full'}}).formatToParts(0)"
            ),
            1 => format!(
                "Intl.supportedValuesOf('{}')",
                self.one_of(&["calendar", "collation", "currency", "numberingSystem", "timeZone", "unit"])
            ),
            2 => format!("new Intl.Collator('{locale}').compare('a', 'b')"),
            3 => format!("new Intl.NumberFormat('{locale}', {{style: 'unit', unit: 'liter'}}).format(1e9)"),
            4 => format!(
                "'\\ufdfaé'.repeat({}).normalize('{}')",
                self.length(),
                self.one_of(&["NFC", "NFD", "NFKC", "NFKD"])
            ),
            5 => format!(
                "/{}/{}.exec('aé')",
                self.one_of(&["\\p{L}+", "[\\p{Script=Greek}&&\\p{Lu}]", "(?<a>.)\\k<a>|é", "\\p{RGI_Emoji}"]),
                "v"
            ),
            6 => format!(
                "Array.from(new Intl.Segmenter('{locale}', {{granularity: '{}'}}).segment('a b. c'))",
                self.one_of(&["word", "sentence", "grapheme"])
            ),
            _ => format!(
                "Temporal.PlainDate.from('2024-02-29').withCalendar('{}').toLocaleString('{locale}')",
                self.one_of(&["chinese", "hebrew", "islamic-umalqura", "dangi", "iso8601"])
            ),
        }
    }
}
