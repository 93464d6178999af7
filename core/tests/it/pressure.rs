//! What a whole process makes once (locks, tables of ICU, lists of collations), first used by a script that has no
//! memory left: whoever uses it next must not find it half made. Each sweep has a process of its own, since what is
//! made once is made by the first.

use enclave_core::{Error, ExecutionOptions, Isolation, Pool, PoolConfig, Value};

use crate::common;

const MIB: usize = 1024 * 1024;
const LIMIT: usize = 64 * MIB;
/// Where the engine is refused large requests: see `engine::memory`.
const REFUSED: usize = LIMIT + LIMIT / 4;

const SWEEP: &str = "ENCLAVE_TEST_SWEEP";

/// Services of Intl that take a locale, with options that make them do much.
const SERVICES: [(&str, &str, &str); 8] = [
    ("Collator", "{usage: 'search', numeric: true}", "compare('a', 'b\\u0301')"),
    ("DisplayNames", "{type: 'calendar'}", "of('chinese')"),
    ("DurationFormat", "{style: 'long'}", "format({hours: 1, minutes: 2})"),
    ("ListFormat", "{}", "format(['a', 'b', 'c'])"),
    (
        "NumberFormat",
        "{style: 'currency', currency: 'EUR', notation: 'compact', compactDisplay: 'long'}",
        "format(12345.6)",
    ),
    ("PluralRules", "{type: 'ordinal'}", "select(3)"),
    ("RelativeTimeFormat", "{numeric: 'auto'}", "formatToParts(-1, 'day')"),
    ("Segmenter", "{granularity: 'word'}", "segment('a b \\u0e01\\u0e32\\u0e23\\u0e17\\u0e14').containing(0).segment"),
];
const LOCALES: [&str; 8] = ["ar-EG", "de-u-co-phonebk", "en", "hi-u-nu-deva", "ja", "sr-Latn", "th", "zh-u-co-pinyin"];
const CALENDARS: [&str; 17] = [
    "buddhist",
    "chinese",
    "coptic",
    "dangi",
    "ethioaa",
    "ethiopic",
    "gregory",
    "hebrew",
    "indian",
    "islamic-civil",
    "islamic-tbla",
    "islamic-umalqura",
    "iso8601",
    "japanese",
    "persian",
    "roc",
    "islamic",
];
const OTHERS: [&str; 21] = [
    "Intl.supportedValuesOf('collation').length",
    "Intl.supportedValuesOf('calendar').length",
    "Intl.supportedValuesOf('currency').length",
    "Intl.supportedValuesOf('timeZone').length",
    "Intl.supportedValuesOf('unit').length",
    "Intl.supportedValuesOf('numberingSystem').length",
    "Intl.getCanonicalLocales('sgn-GR')[0] + new Intl.Locale('und-Thai').maximize() + new Intl.Locale('en-Latn-US').minimize()",
    "const l = new Intl.Locale('de'); [l.getCalendars(), l.getCollations(), l.getHourCycles(), l.getTimeZones?.(), l.getWeekInfo?.()].length",
    "new Date(0).toLocaleString('de', {timeZone: 'America/New_York', timeZoneName: 'long'})",
    "new Intl.DateTimeFormat('en', {dateStyle: 'full'}).formatRange(0, 1e11)",
    "new Date(2020, 5).toString() + Date.parse('Thu, 01 Jan 1970 00:00:00 EST')",
    "'\\u1e9b\\u0323\\ufdfa'.normalize('NFKC') + '\\u1e9b\\u0323'.normalize('NFD')",
    "'I\\u0307'.toLocaleLowerCase('tr') + 'stra\\u00dfe'.toUpperCase() + 'a'.localeCompare('\\u00e4', 'sv')",
    r"/\p{Script=Greek}+\p{Emoji}?/iu.exec('\u03b1\u03b2')[0]",
    r"/[\p{L}--[a-z]]\p{RGI_Emoji}?/v.exec('A')[0]",
    r"/(?<year>\d{4})\w*?(?=\b)/dgs[Symbol.replace]('2020', '$<year>')",
    "JSON.parse('[{\"a\": [1, 2]}, {\"a\": 3}]', (key, value) => value).length",
    "structuredClone(new Map([[{}, new Set([1n])]])).size",
    "new WeakRef({}).deref() && [5, 3, 1].toSorted().concat([...'abc']).join()",
    "Function.prototype.toString.call(Array.prototype.map) + (123.456).toString(7) + parseFloat('1e-7').toFixed(20)",
    "new Error('x', {cause: new AggregateError([])}).stack.length + String(Symbol.for('x')) + (2n ** 200n)",
];

/// Every function that can be reached from the global, by its number.
const INTRINSIC: &str = r"
const found = [], seen = new Set();
(function walk(o) {
    if (Object(o) !== o || seen.has(o)) return;
    seen.add(o);
    if (typeof o === 'function' && o !== walk) found.push(o);
    for (const key of Reflect.ownKeys(o)) {
        const {value, get, set} = Reflect.getOwnPropertyDescriptor(o, key);
        [value, get, set].forEach(walk);
    }
    walk(Reflect.getPrototypeOf(o));
})(globalThis);
const f = found[NUMBER], t = [new Map([[1, 2]]), 'text', [3, 1, 2], /t(e)x/g, new Uint8Array(9), new Date(0), 5];
";
const INTRINSIC_CALL: &str =
    "for (const self of t) { try { Reflect.apply(f, self, ['en', self]) } catch {} } found.length";

fn sources() -> Vec<String> {
    let mut sources: Vec<String> = OTHERS.map(str::to_owned).into();
    for calendar in CALENDARS {
        sources.push(format!(
            "new Intl.DateTimeFormat('zh-u-ca-{calendar}', {{dateStyle: 'full', timeStyle: 'full'}}).formatToParts(0).length"
        ));
        if calendar != "islamic" {
            sources.push(format!(
                "Temporal.PlainDate.from('2020-02-29').withCalendar('{calendar}').add({{months: 13}}).with({{day: 1}}).toString()"
            ));
        }
    }
    for locale in LOCALES {
        for (service, options, call) in SERVICES {
            sources.push(format!("new Intl.{service}('{locale}', {options}).{call}"));
        }
    }
    sources
}

fn pool() -> Pool {
    let memory_limit_per_worker = LIMIT as u64;
    Pool::new(PoolConfig { max_workers: 2, memory_limit_per_worker, ..common::config(Isolation::Thread) }).unwrap()
}

/// Runs a source with so many bytes of buffers alive, the last of them small if `small`, and no poll point between.
fn run_with(pool: &Pool, (large, small): (usize, usize), before: &str, source: &str) -> Result<Value, Error> {
    let small = vec![format!("new ArrayBuffer({})", MIB / 2); small].join(", ");
    let source = format!("{before}; const held = [new ArrayBuffer({large}), {small}];\n{source}");
    pool.run(&source, ExecutionOptions::default())
}

/// The largest buffer with which a source that does nothing is not refused anything.
fn largest(pool: &Pool, before: &str) -> usize {
    let (mut low, mut high) = (0, REFUSED);
    while high - low > 512 {
        let middle = (low + high) / 2;
        match run_with(pool, (middle, 0), before, "1") {
            Err(Error::MemoryLimit { used, .. }) if used > REFUSED as u64 => high = middle,
            Err(Error::MemoryLimit { .. }) | Ok(_) => low = middle,
            Err(error) => panic!("{error}"),
        }
    }
    low
}

/// Runs every source at every distance from the refusal; says how many threads that has cost.
fn attack(sources: &[(String, String)], distances: &[usize], small: usize) -> usize {
    let mut attacker = pool();
    let mut lost = 0;
    for less in distances {
        let mut large = (String::new(), 0);
        for (before, source) in sources {
            let kind = before.replace(|c: char| c.is_ascii_digit(), "");
            if large.0 != kind || large.1 == 0 {
                large = (kind, largest(&attacker, before));
            }
            let ended = run_with(&attacker, (large.1 - less, small), before, source);
            match ended {
                Ok(_) | Err(Error::MemoryLimit { .. } | Error::Exception(_)) => {}
                Err(error) => panic!("{source}, {less}: {error}"),
            }
            let set_aside = attacker.stats().workers.set_aside;
            if set_aside > 0 {
                eprintln!("lost at {less}, {small}: {source}");
                // The compiler of regular expressions asks for much at once, and cannot do without.
                lost += if source.contains("RGI_Emoji") { 0 } else { set_aside };
                attacker = pool();
            }
        }
    }
    lost
}

/// Runs every source as it is, in another pool of the same process.
fn use_all(sources: &[(String, String)]) {
    let victim = pool();
    for (before, source) in sources {
        if let Err(error) = victim.run(format!("{before};\n{source}").as_str(), ExecutionOptions::default()) {
            assert!(matches!(error, Error::Exception(_)) && before.contains("walk"), "{source}: {error}");
        }
    }
    assert_eq!(victim.stats().workers.set_aside, 0);
}

fn intrinsics() -> Vec<(String, String)> {
    let number = |number: usize| INTRINSIC.replace("NUMBER", &number.to_string());
    let source = format!("{}\nfound.length", number(0));
    let Value::Number(count) = pool().run(source.as_str(), ExecutionOptions::default()).unwrap() else { panic!() };
    assert!(count > 800.0, "{count}");
    (0..count as usize).map(|at| (number(at), INTRINSIC_CALL.to_owned())).collect()
}

/// One sweep, in this process.
fn sweep(name: &str) -> usize {
    let plain = || sources().into_iter().map(|source| (String::new(), source)).collect::<Vec<_>>();
    // Nearer to the refusal first: what is made once is then first made where nothing is left.
    let (sources, distances, small): (_, &[usize], _) = match name {
        "near" => (plain(), &[4096, 4600, 5100, 6000], 0),
        "far" => (plain(), &[4300, 12_000, 40_000, 150_000], 0),
        // Eight MiB of small requests are met beyond the refusal: these take all of that as well.
        "beyond" => (plain(), &[4096, 20_000, 120_000, 400_000], 16),
        "intrinsics" => (intrinsics(), &[4096], 0),
        _ => panic!("no sweep {name}"),
    };
    let lost = attack(&sources, distances, small);
    use_all(&sources);
    lost
}

/// Runs a sweep in a process of its own; gives the number of threads that it has cost.
fn in_a_process(name: &str) -> usize {
    let output = common::only(module_path!(), "child").arg("--ignored").env(SWEEP, name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let lost = said.lines().find_map(|line| line.rsplit_once("threads lost: ")?.1.parse().ok());
    lost.unwrap_or_else(|| panic!("{name}: {said}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[ignore = "a part of the other tests, which start it in a process of its own"]
fn child() {
    let Ok(name) = std::env::var(SWEEP) else { return };
    println!("threads lost: {}", sweep(&name));
}

#[test]
fn what_a_process_makes_once_is_made_also_near_the_refusal() {
    assert_eq!(in_a_process("near"), 0);
}

#[test]
fn what_a_process_makes_once_is_made_also_a_little_before_the_refusal() {
    assert_eq!(in_a_process("far"), 0);
}

#[test]
fn what_a_process_makes_once_is_made_also_where_no_small_request_is_met() {
    in_a_process("beyond");
}

#[test]
fn every_intrinsic_works_after_it_was_first_used_near_the_refusal() {
    assert_eq!(in_a_process("intrinsics"), 0);
}

#[test]
fn a_normalisation_that_has_no_room_costs_no_thread() {
    let pool = pool();
    let run = |source: &str| pool.run(source, ExecutionOptions::default());
    for source in [
        r"'\ufdfa'.repeat(3e6).normalize('NFKD').length",
        r"'\ufdfa'.repeat(3e6).normalize('NFKC').length",
        r"'\u1f82'.repeat(1e7).normalize('NFD').length",
        r"'\ufb2c'.repeat(1e7).normalize('NFC').length",
        r"'\u00bd'.repeat(2e7).normalize('NFKD').length",
        r"('a' + '\u0301'.repeat(9e6)).normalize('NFC').length",
        r"try { '\ufdfa'.repeat(3e6).normalize('NFKD') } catch {} for (;;);",
    ] {
        let ended = run(source);
        assert!(matches!(ended, Err(Error::MemoryLimit { .. })), "{source}: {ended:?}");
        assert_eq!(pool.stats().workers.set_aside, 0, "{source}");
        assert_eq!(run(r"'\ufdfa'.repeat(3e5).normalize('NFKD').length").unwrap(), Value::Number(5_400_000.0));
    }
    for (source, length) in [
        (r"'x\u00bd'.repeat(1e6).normalize('NFKC').length", 4e6),
        (r"'\u00e9'.repeat(2e6).normalize('NFD').length", 4e6),
        (r"'\uac01'.repeat(1e6).normalize('NFD').length", 3e6),
        (r"'e\u0301'.repeat(1e6).normalize('NFC').length", 1e6),
        (r"('a' + '\u0301'.repeat(1e6)).normalize('NFD').length", 1_000_001.0),
    ] {
        assert_eq!(run(source).unwrap(), Value::Number(length), "{source}");
    }
}
