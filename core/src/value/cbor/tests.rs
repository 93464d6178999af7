//! CBOR in both directions: the shortest forms, what is refused, and what hostile bytes cost.

use super::*;

fn hex(value: Value) -> String {
    to_vec(&value, "value").unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn read(hex: &str) -> Value {
    from_slice(&bytes(hex), 128, "value").unwrap()
}

fn refusal(hex: &str) -> String {
    from_slice(&bytes(hex), 8, "globals").unwrap_err().to_string()
}

fn bigint(digits: &str) -> Value {
    Value::BigInt(digits.parse().unwrap())
}

/// The table of the module comment, and the examples of RFC 8949, appendix A.
fn examples() -> Vec<(Value, &'static str)> {
    let error = |code: Option<&str>| {
        Value::Error(Box::new(ErrorValue {
            name: "RangeError".into(),
            message: "no".into(),
            code: code.map(str::to_owned),
            stack: None,
        }))
    };
    vec![
        (Value::Undefined, "f7"),
        (Value::Null, "f6"),
        (Value::Bool(true), "f5"),
        (Value::Bool(false), "f4"),
        (Value::Number(0.0), "00"),
        (Value::Number(-0.0), "f98000"),
        (Value::Number(23.0), "17"),
        (Value::Number(-24.0), "37"),
        (Value::Number(1000000.0), "1a000f4240"),
        (Value::Number(9007199254740991.0), "1b001fffffffffffff"),
        (Value::Number(-9007199254740991.0), "3b001ffffffffffffe"),
        (Value::Number(9007199254740992.0), "fa5a000000"),
        (Value::Number(1.5), "f93e00"),
        (Value::Number(65504.5), "fa477fe080"),
        (Value::Number(0.00006103515625), "f90400"),
        (Value::Number(5.960464477539063e-8), "f90001"),
        (Value::Number(100000.25), "fa47c35020"),
        (Value::Number(1.1), "fb3ff199999999999a"),
        (Value::Number(-4.1), "fbc010666666666666"),
        (Value::Number(1e300), "fb7e37e43c8800759c"),
        (Value::Number(f64::INFINITY), "f97c00"),
        (Value::Number(f64::NEG_INFINITY), "f9fc00"),
        (bigint("0"), "c240"),
        (bigint("5"), "c24105"),
        (bigint("-1"), "c340"),
        (bigint("-257"), "c3420100"),
        (bigint("18446744073709551616"), "c249010000000000000000"),
        (bigint("-18446744073709551617"), "c349010000000000000000"),
        (Value::from("ü\u{0}"), "63c3bc00"),
        (Value::Bytes(vec![1, 2, 3, 4]), "4401020304"),
        (Value::Date(1363896240000.0), "c11a514b67b0"),
        (Value::Date(1363896240500.0), "c1fb41d452d9ec200000"),
        (Value::Date(-1.0), "c1fbbf50624dd2f1a9fc"),
        (Value::from(vec![Value::from(1), Value::from(vec![])]), "820180"),
        (Value::Map(vec![(Value::from(1), Value::from("a"))]), "d90103a1016161"),
        (Value::Set(vec![Value::from(1), Value::from("a")]), "d90102820161 61"),
        ([("b", Value::Undefined), ("a", Value::Null)].into_iter().collect(), "a26162f76161f6"),
        (error(None), "d81b82 654572726f72 a2 646e616d65 6a52616e67654572726f72 676d657373616765 626e6f"),
        (
            error(Some("E")),
            "d81b82 654572726f72 a3 646e616d65 6a52616e67654572726f72 676d657373616765 626e6f 64636f6465 6145",
        ),
    ]
}

#[test]
fn every_kind_of_value_has_one_form_and_comes_back_from_it() {
    for (value, expected) in examples() {
        assert_eq!(hex(value.clone()), expected.replace(' ', ""), "{value:?}");
        assert_eq!(format!("{:?}", read(expected)), format!("{value:?}"));
    }
    assert_eq!(hex(Value::Number(f64::NAN)), "f97e00");
    assert_eq!(hex(Value::Date(f64::NAN)), "c1f97e00");
    assert!(matches!(read("c1f97e00"), Value::Date(ms) if ms.is_nan()));
}

#[test]
fn every_millisecond_of_a_date_survives() {
    let check = |ms: f64| {
        let bytes = to_vec(&Value::Date(ms), "date").unwrap();
        assert_eq!(from_slice(&bytes, 0, "date").unwrap(), Value::Date(ms));
    };
    // The grid of doubles is coarsest at the ends, and both seconds and milliseconds change theirs at powers of 2.
    let edges =
        (40..53).map(|power| (1u64 << power) as f64).chain((30..43).map(|power| (1u64 << power) as f64 * 1000.0));
    for edge in edges.chain([0.0, 8.64e15]) {
        for offset in -3000..=3000 {
            for ms in [edge + f64::from(offset), -edge + f64::from(offset)] {
                if ms.abs() <= 8.64e15 {
                    check(ms);
                }
            }
        }
    }
    // A walk with a stride that shares no factor with 1000 or 2.
    let stride = 8.64e15 / 100_000.0 - 1.0;
    for step in -100_000..=100_000 {
        check((f64::from(step) * stride).trunc() + 0.0);
    }
}

#[test]
fn a_date_beyond_the_last_is_invalid_and_parts_of_a_millisecond_are_rounded() {
    for beyond in ["c11bffffffffffffffff", "c13bffffffffffffffff", "c1f97c00", "c1fb7e37e43c8800759c"] {
        assert!(matches!(read(beyond), Value::Date(ms) if ms.is_nan()), "{beyond}");
    }
    assert_eq!(hex(Value::Date(f64::INFINITY)), "c1f97e00");
    assert_eq!(hex(Value::Date(1500.9)), hex(Value::Date(1500.0)));
    // 0.0004999 s and 1.2346 s
    assert_eq!(read("c1fb3f4060fe47991bc5"), Value::Date(0.0));
    assert_eq!(read("c1fb3ff3c0ebedfa43fe"), Value::Date(1235.0));
}

#[test]
fn integers_of_every_width_are_numbers_while_they_are_safe_and_bigints_beyond() {
    for (hex, expected) in [
        ("1800", Value::Number(0.0)),
        ("1b0000000000000001", Value::Number(1.0)),
        ("1b0020000000000000", bigint("9007199254740992")),
        ("3b001fffffffffffff", bigint("-9007199254740992")),
        ("1bffffffffffffffff", bigint("18446744073709551615")),
        ("3bffffffffffffffff", bigint("-18446744073709551616")),
        ("fb3ff0000000000000", Value::Number(1.0)),
        ("c243000001", bigint("1")),
    ] {
        assert_eq!(read(hex), expected, "{hex}");
    }
}

#[test]
fn a_nan_has_one_bit_pattern() {
    for payload in ["f97e01", "fafff00001", "fbfff8000000000123", "fb7ff0000000000001"] {
        let Value::Number(nan) = read(payload) else { panic!() };
        assert_eq!(nan.to_bits(), f64::NAN.to_bits(), "{payload}");
    }
}

#[test]
fn indefinite_lengths_are_accepted() {
    assert_eq!(read("9f018202039f0405ffff").depth(), 2);
    assert_eq!(read("bf616101616202ff"), [("a", Value::from(1)), ("b", Value::from(2))].into_iter().collect());
    assert_eq!(read("7f657374726561646d696e67ff"), Value::from("streaming"));
    assert_eq!(read("5f42010243030405ff"), Value::Bytes(vec![1, 2, 3, 4, 5]));
    assert_eq!(read("d901029f01ff"), Value::Set(vec![Value::from(1)]));
    assert_eq!(read("d90103bf0102ff"), Value::Map(vec![(Value::from(1), Value::from(2))]));
    assert_eq!(read("c25f41014100ff"), bigint("256"));
}

#[test]
fn an_error_says_where_and_what() {
    for (hex, expected) in [
        ("", "the input ends inside a value (at byte 0 of 0)"),
        ("8201", "the input ends inside a value (at byte 2 of 2)"),
        ("820102 00 00", "2 bytes follow the value (at byte 3 of 5)"),
        (
            "81 d8 20 60",
            "tag 32 is unknown; accepted are 1 (date), 2 and 3 (bigint), 27 (error), 258 (set), 259 (map) (at byte 1 of 4)",
        ),
        ("f0", "simple value 16 is unknown; accepted are 20 to 23 (at byte 0 of 1)"),
        ("f8ff", "simple value 255 is unknown; accepted are 20 to 23 (at byte 0 of 2)"),
        ("ff", "a break stands where a value is expected (at byte 0 of 1)"),
        ("82ff01", "a break stands where a value is expected (at byte 1 of 3)"),
        ("1c", "this byte starts no value (at byte 0 of 1)"),
        ("62c328", "a text is not UTF-8 (at byte 0 of 3)"),
        ("7f61c361a8ff", "a text is not UTF-8 (at byte 0 of 6)"),
        ("a10102", "a key of a map is no text; a map with other keys has tag 259 (at byte 1 of 3)"),
        ("a2616101616102", "the key \"a\" occurs twice in a map (at byte 0 of 7)"),
        ("c1 61 30", "a date (tag 1) holds no number (at byte 1 of 3)"),
        ("c2 01", "a bigint (tags 2 and 3) holds a byte string (at byte 1 of 2)"),
        ("d90102a0", "a set (tag 258) holds an array (at byte 3 of 4)"),
        ("d9010380", "a map (tag 259) holds a map (at byte 3 of 4)"),
        (
            "d81b81 654572726f72",
            "other parts; an error (tag 27) is [\"Error\", {name, message, code, stack}], all text (at byte 2 of 9)",
        ),
    ] {
        assert_eq!(refusal(hex), format!("globals is not accepted as CBOR: {expected}"), "{hex}");
    }
    let many = to_vec(&(0..20).map(|i| (format!("{i}"), Value::Null)).collect::<Value>(), "x").unwrap();
    let twice = [&[0xb5][..], &many[1..], &bytes("6135f6")].concat();
    assert!(from_slice(&twice, 8, "x").unwrap_err().to_string().contains("the key \"5\" occurs twice"));
}

#[test]
fn nesting_ends_at_the_limit_however_deep_the_input_goes() {
    assert!(from_slice(&bytes("818101"), 2, "x").is_ok());
    let message = from_slice(&bytes("818101"), 1, "globals").unwrap_err().to_string();
    assert_eq!(message, "globals is not accepted as CBOR: more than 1 levels of nesting (at byte 1 of 3)");
    let deepest = [vec![0x81; 512], vec![0xf6]].concat();
    assert_eq!(from_slice(&deepest, u32::MAX, "x").unwrap().depth(), 512);
    for unit in
        ["81", "9f", "a16161", "bf6161", "d9010281", "d90103a1", "d90103a100", "c1", "c2", "d81b", "d81b82", "5f"]
    {
        let bomb = bytes(unit).repeat(1 << 18);
        assert!(from_slice(&bomb, u32::MAX, "x").is_err(), "{unit}");
    }
}

#[test]
fn a_claimed_length_costs_nothing() {
    for head in ["9b", "bb", "5b", "7b", "d901029b", "d90103bb", "c25b"] {
        for length in ["00ffffffffffffff", "ffffffffffffffff", "0000ffffffffffff"] {
            assert!(refusal(&format!("{head}{length}")).contains("is not accepted"));
            let nested = bytes(&format!("{head}{length}")).repeat(512);
            assert!(from_slice(&nested, u32::MAX, "x").is_err());
        }
    }
}
