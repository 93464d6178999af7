//! What holds for every value and for every input, tried on random ones.

use num_bigint::BigInt;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{ErrorValue, MAX_DATE_MS, Value, cbor, json};

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<f32>().prop_map(f64::from),
        any::<i32>().prop_map(f64::from),
        any::<i64>().prop_map(|integer| integer as f64),
        proptest::sample::select(vec![-0.0, f64::NAN, f64::INFINITY, 9007199254740991.0, 9007199254740992.0, 65504.0]),
    ]
    // A NaN has one form only.
    .prop_map(|number| if number.is_nan() { f64::NAN } else { number })
}

fn error() -> impl Strategy<Value = ErrorValue> {
    (any::<String>(), any::<String>(), any::<Option<String>>(), any::<Option<String>>())
        .prop_map(|(name, message, code, stack)| ErrorValue { name, message, code, stack })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Undefined),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        (any::<bool>(), vec(any::<u8>(), 0..20)).prop_map(|(negative, bytes)| {
            let magnitude = BigInt::from_bytes_be(num_bigint::Sign::Plus, &bytes);
            Value::BigInt(if negative { -magnitude } else { magnitude })
        }),
        any::<String>().prop_map(Value::String),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        prop_oneof![-MAX_DATE_MS..MAX_DATE_MS, -1e6..1e6].prop_map(|ms| Value::Date(ms.trunc() + 0.0)),
        Just(Value::Date(f64::NAN)),
        error().prop_map(|error| Value::Error(Box::new(error))),
    ]
}

fn object(entry: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec((any::<String>(), entry), 0..24).prop_map(|mut entries| {
        let mut seen = std::collections::HashSet::new();
        entries.retain(|(key, _)| seen.insert(key.clone()));
        Value::Object(entries)
    })
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 100, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::Array),
            vec(inner.clone(), 0..8).prop_map(Value::Set),
            vec((inner.clone(), inner.clone()), 0..8).prop_map(Value::Map),
            object(inner),
        ]
    })
}

/// Values that JSON can say.
fn json_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(|number| Value::Number(if number.is_finite() { number } else { 0.5 })),
        any::<String>().prop_map(Value::String),
    ];
    scalar
        .prop_recursive(6, 100, 8, |inner| prop_oneof![vec(inner.clone(), 0..8).prop_map(Value::Array), object(inner)])
}

/// Exact text: unlike `==` it tells `-0` from `0` and finds `NaN` the same as itself.
fn exact(value: &Value) -> String {
    format!("{value:?}")
}

/// Bytes that look like CBOR: heads of every kind with small, lying and indefinite lengths, and the known tags.
fn cbor_like() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        (0u8..8, 0u8..4).prop_map(|(major, length)| vec![major << 5 | length]),
        (0u8..8, 28u8..32).prop_map(|(major, info)| vec![major << 5 | info]),
        (0u8..8, any::<[u8; 8]>()).prop_map(|(major, length)| [&[major << 5 | 27][..], &length].concat()),
        proptest::sample::select(vec![
            vec![0xc1],
            vec![0xc2],
            vec![0xc3],
            vec![0xd8, 27],
            vec![0xd9, 1, 2],
            vec![0xd9, 1, 3],
            b"\xd8\x1b\x82\x65Error".to_vec(),
            b"\x64name".to_vec(),
        ]),
    ];
    vec(head, 0..40).prop_map(|heads| heads.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cbor_gives_back_every_value(value in value()) {
        let bytes = cbor::to_vec(&value, "value").unwrap();
        prop_assert_eq!(exact(&cbor::from_slice(&bytes, value.depth(), "value").unwrap()), exact(&value));
    }

    #[test]
    fn json_gives_back_every_value_that_it_can_say(value in json_value()) {
        let text = json::to_string(&value, "value").unwrap();
        prop_assert_eq!(exact(&json::from_str(&text, value.depth(), "value").unwrap()), exact(&value));
    }

    #[test]
    fn json_of_any_value_is_json(value in value()) {
        let text = json::to_string(&value, "value").unwrap();
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn the_limit_of_nesting_is_exact(value in value().prop_filter("flat", |value| value.depth() > 0)) {
        let bytes = cbor::to_vec(&value, "value").unwrap();
        prop_assert!(cbor::from_slice(&bytes, value.depth() - 1, "value").is_err());
        let inner = json::from_str(&json::to_string(&value, "value").unwrap(), 512, "value").unwrap();
        if let Some(too_few) = inner.depth().checked_sub(1) {
            let text = json::to_string(&inner, "value").unwrap();
            prop_assert!(json::from_str(&text, too_few, "value").is_err());
        }
    }

    #[test]
    fn a_value_counts_no_less_than_its_parts(value in value(), other in value()) {
        let (size, both) = (value.approximate_size(), value.approximate_size() + other.approximate_size());
        prop_assert!(size >= 8);
        prop_assert_eq!(Value::Array(vec![value.clone(), other.clone()]).approximate_size(), 8 + both);
        prop_assert_eq!(Value::Map(vec![(value.clone(), other.clone())]).approximate_size(), 8 + both);
        prop_assert_eq!(Value::Object(vec![("äb".into(), value)]).approximate_size(), 8 + 3 + size);
    }

    #[test]
    fn the_size_of_cbor_is_near_the_size_that_is_counted(value in value()) {
        let bytes = cbor::to_vec(&value, "value").unwrap().len() as u64;
        // A value's head has at most 9 bytes, an error's 45 with its field names.
        prop_assert!(bytes <= 10 * value.approximate_size(), "{} {}", bytes, value.approximate_size());
    }

    #[test]
    fn no_bytes_make_the_cbor_reader_panic(bytes in prop_oneof![vec(any::<u8>(), 0..200), cbor_like()]) {
        if let Ok(value) = cbor::from_slice(&bytes, 32, "bytes") {
            prop_assert!(value.depth() <= 32);
            let again = cbor::to_vec(&value, "bytes").unwrap();
            prop_assert_eq!(exact(&cbor::from_slice(&again, 32, "bytes").unwrap()), exact(&value));
        }
    }

    #[test]
    fn no_damage_to_good_cbor_makes_the_reader_panic(value in value(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = cbor::to_vec(&value, "value").unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = cbor::from_slice(&bytes, 32, "bytes");
        prop_assert!(cbor::from_slice(&cbor::to_vec(&value, "value").unwrap()[..place], 32, "bytes").is_err());
    }

    #[test]
    fn no_text_makes_the_json_reader_panic(text in prop_oneof![any::<String>(), "[\\[\\]{}\",:0-9eE.\\-+\\\\utrfalsn ]{0,60}"]) {
        let _ = json::from_str(&text, 32, "text");
    }
}
