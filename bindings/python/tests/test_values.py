"""Values both ways: what becomes what, and that nothing is lost on a round trip through a script."""

from __future__ import annotations

import copy
import math
import pickle
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import enclave
import pytest
from enclave import JSBigInt, JSDate, JSError, JSMap, JSSet, undefined
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_process import python

UTC = timezone.utc
SAFE = 2**53 - 1


@pytest.fixture(scope="module")
def shared() -> Iterator[enclave.Pool]:
    """One pool for all examples of a property."""
    with enclave.Pool(min_workers=1, max_workers=1, max_executions_per_worker=1_000_000) as pool:
        yield pool


# One pool lives longer than a test here.
@pytest.fixture(autouse=True)
def nothing_is_left() -> None:
    return None


def through(pool: enclave.Pool, value: Any) -> Any:
    return pool.run("v", globals={"v": value})


def identical(a: Any, b: Any) -> bool:
    """Equal, with types, the order of keys, NaN and the sign of zero."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, list):
        return len(a) == len(b) and all(identical(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return identical([list(item) for item in a.items()], [list(item) for item in b.items()])
    return bool(a == b)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1", 1),
        ("-0", -0.0),
        ("0.5", 0.5),
        ("1.0", 1),
        ("NaN", math.nan),
        ("-Infinity", -math.inf),
        ("2 ** 53 - 1", SAFE),
        ("2 ** 53", 2.0**53),
        ("-(2 ** 53) + 1", -SAFE),
        ("-(2 ** 63)", -(2.0**63)),
        ("2n ** 53n", 2**53),
        ("5n", 5),
        ("-(10n ** 30n)", -(10**30)),
        ("'a\\ud83d\\ude00b'", "a😀b"),
        ("'a\\ud800b'", "a�b"),
        ("undefined", undefined),
        ("null", None),
        ("true", True),
        ("new Uint8Array([1, 255])", b"\x01\xff"),
        ("new ArrayBuffer(2)", b"\0\0"),
        ("new Date(5)", datetime(1970, 1, 1, 0, 0, 0, 5000, tzinfo=UTC)),
        ("new Date(-1)", datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        ("new Date(NaN)", JSDate(math.nan)),
        ("new Date(8.64e15)", JSDate(8.64e15)),
        ("[1, , 3]", [1, undefined, 3]),
        ("({b: 1, a: [2]})", {"b": 1, "a": [2]}),
        ("new Map([['b', 1], [2, 3]])", {"b": 1, 2: 3}),
        ("new Map([[1, 'a'], [true, 'b']])", JSMap([(1, "a"), (True, "b")])),
        ("new Map([[[1], 'a']])", JSMap([([1], "a")])),
        ("new Set([1, 'a'])", {1, "a"}),
        ("new Set([{}])", JSSet([{}])),
        ("new Set([1, 1n])", JSSet([1, 1])),
        ("Object.assign(new RangeError('r'), {code: 7})", JSError("RangeError", "r", "7")),
        ("() => 1", undefined),
    ],
)
def test_what_comes_out_of_a_script(shared: enclave.Pool, source: str, value: Any) -> None:
    assert identical(shared.run(source), value)


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "check"),
    [
        (1, "v === 1"),
        (Colour.RED, "v === 1"),
        (Text("x"), "v === 'x'"),
        (SAFE, "v === Number.MAX_SAFE_INTEGER"),
        (SAFE + 1, "v === 2n ** 53n"),
        (-SAFE - 1, "v === -(2n ** 53n)"),
        (2**64, "v === 2n ** 64n"),
        (JSBigInt(5), "v === 5n"),
        (-0.0, "Object.is(v, -0)"),
        (2.0**53, "v === 2 ** 53"),
        ("\ud83d\ude00", "v === '😀'"),
        ("a\ud800", "v === 'a\\ufffd'"),
        (bytearray(b"ab"), "v instanceof Uint8Array && v[1] === 98"),
        (memoryview(b"abcd")[::2], "v instanceof Uint8Array && v.length === 2 && v[1] === 99"),
        ((1, 2), "Array.isArray(v) && v[1] === 2"),
        (frozenset({1}), "v instanceof Set && v.has(1)"),
        ({"a": 1}, "Object.getPrototypeOf(v) === Object.prototype && v.a === 1"),
        (OrderedDict(b=1, a=2), "Object.keys(v).join() === 'b,a'"),
        (defaultdict(int, a=1), "v.a === 1"),
        ({}, "Object.getPrototypeOf(v) === Object.prototype"),
        ({1: "a"}, "v instanceof Map && v.get(1) === 'a'"),
        (JSMap([("a", 1)]), "v instanceof Map && v.get('a') === 1"),
        (JSSet([2, 1]), "v instanceof Set && [...v].join() === '2,1'"),
        (JSError("TypeError", "m", "C"), "v instanceof TypeError && v.message === 'm' && v.code === 'C'"),
        (JSDate(math.nan), "v instanceof Date && isNaN(v)"),
        (undefined, "v === undefined"),
        (
            datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))),
            "v.toISOString() === '2024-05-01T10:00:00.000Z'",
        ),
        ({"__proto__": 1}, "Object.hasOwn(v, '__proto__')"),
    ],
)
def test_what_goes_into_a_script(shared: enclave.Pool, value: Any, check: str) -> None:
    assert shared.run(check, globals={"v": value}) is True


@pytest.mark.parametrize(
    ("value", "kind", "part"),
    [
        (Decimal(1), TypeError, 'globals["v"] is of type decimal.Decimal; accepted are'),
        (object(), TypeError, "accepted are None, bool, int"),
        (date(2024, 1, 1), TypeError, "datetime.date"),
        ({"a": [1, 2j]}, TypeError, "globals[\"v\"]['a'][1] is of type complex"),
        (datetime(2024, 1, 1), ValueError, "without a time zone"),  # noqa: DTZ001
        (JSMap([(1, 2), 3]), TypeError, "no pair"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place(
    shared: enclave.Pool, value: Any, kind: type[Exception], part: str
) -> None:
    with pytest.raises(kind, match=".") as raised:
        through(shared, value)
    assert isinstance(raised.value, enclave.InvalidArgumentError)
    assert part in str(raised.value)


def test_a_value_that_contains_itself_or_is_too_deep_is_refused(shared: enclave.Pool) -> None:
    cycle: list[Any] = []
    cycle.append({"again": cycle})
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, deep):
        with pytest.raises(enclave.InvalidArgumentError, match="levels of nesting"):
            through(shared, value)
    while isinstance(deep, list):
        deep = deep[0]
    with pytest.raises(enclave.InvalidArgumentError, match="max_value_depth accepts 3"):
        shared.run("v", globals={"v": [[[[1]]]]}, max_value_depth=3)


def test_a_wide_value_goes_both_ways(shared: enclave.Pool) -> None:
    wide = {"list": list(range(50_000)), "dict": {str(n): n for n in range(20_000)}, "set": set(range(5_000))}
    assert through(shared, wide) == wide


PRIME = 2**61 - 1


def one_after_the_other() -> list[int]:
    """Integers without equal hashes, each of which finds the places of nearly all before it taken.

    Most are on one way through a table of 8192 places, the others get onto that way at its beginning.
    """
    size, way = 8192, [0]
    while len(way) < 3500:
        way.append((5 * way[-1] + 1) % size)
    taken, beginning, others = set(way), set(way[:1000]), []
    for key in range(size, 64 * size):
        place, perturb = key % size, key
        while place in taken and perturb:
            perturb >>= 5
            place = (5 * place + perturb + 1) % size
        if perturb == 0 and place in beginning:
            others.append(key)
    assert len(others) > 1500
    return way + others[:1500]


CHOSEN = {
    "of one hash": [n * PRIME for n in range(20_000)],
    "of one hash, with signs": [n * PRIME * (-1) ** n for n in range(20_000)],
    "of another hash": [n * PRIME + 7 for n in range(20_000)],
    "of one hash, as numbers and bigints": [2.0 ** (61 * n) for n in range(1, 16)]
    + [n * PRIME + 1 for n in range(20_000)],
    "of a few hashes": [n // 20 * PRIME + n % 20 for n in range(20_000)],
    "that are large": [(n * PRIME) << 610 for n in range(5_000)],
    "without a common hash": one_after_the_other(),
}


@pytest.mark.parametrize("what", CHOSEN)
def test_keys_that_would_take_quadratic_time_go_into_no_table(shared: enclave.Pool, what: str) -> None:
    keys = CHOSEN[what]
    source = "[new Set(keys), new Map(keys.map((key) => [key, 1]))]"
    as_set, as_map = shared.run(source, globals={"keys": keys})
    # The one without a common hash is for the tables of dicts.
    of_set = set if "without" in what else JSSet
    assert type(as_set) is of_set
    assert type(as_map) is JSMap
    assert list(as_set) == keys or as_set == set(keys)
    assert as_map == [(key, 1) for key in keys]
    kinds: list[tuple[type, int]] = []

    def tool(values: list[Any]) -> list[Any]:
        kinds.extend((type(value), len(value)) for value in values)
        return values

    # To a tool, from there to the script, and from there to the caller.
    assert shared.run(f"await tools.same({source})", globals={"keys": keys}, tools={"same": tool}) == [as_set, as_map]
    assert kinds == [(of_set, len(keys)), (JSMap, len(keys))]


def test_keys_that_nobody_has_chosen_go_into_a_dict_and_a_set(shared: enclave.Pool) -> None:
    ordinary: list[list[Any]] = [
        list(range(20_000)),
        [n << 32 for n in range(20_000)],
        [n << 53 for n in range(20_000)],
        [n * 10**18 + 17 for n in range(20_000)],
        [n / 1024 for n in range(20_000)],
        [n / 3 for n in range(20_000)],
        [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(20_000)],
        [f"key {n}" for n in range(20_000)],
        [n * PRIME for n in range(256)],
    ]
    for keys in ordinary:
        as_set, as_map = shared.run(
            "[new Set(keys), new Map(keys.map((key) => [key, 1]))]", globals={"keys": keys}, max_value_depth=16
        )
        assert (type(as_set), type(as_map)) == (set, dict)
        assert as_set == set(keys)
        assert list(as_map) == keys


@pytest.mark.timeout(900)
def test_what_a_script_sends_costs_the_host_linear_time() -> None:
    """As large as the preset lets them be; in quadratic time each of these takes hours, with the interpreter held."""
    output = python(
        """
        sources = [
            "const s = new Set(); for (let n = 0n; n < 150000n; n++) s.add(n * 2305843009213693951n); return s",
            "const m = new Map(); for (let n = 0n; n < 90000n; n++) m.set(n * 2305843009213693951n, 0); return m",
            "const s = []; for (let i = 0; i < 600; i++) { s.push(new Set()); "
            "for (let n = 0n; n < 256n; n++) s[i].add(n * 2305843009213693951n) } return s",
            "const s = new Set(); for (let n = 0; n < 200000; n++) s.add(n * 2 ** 32); return s",
            "const s = new Set(); for (let n = 0; n < 200000; n++) s.add(n / 1024); return s",
            "const s = new Set(); for (let n = 0; n < 100000; n++) s.add(new Date(n * 86400000)); return s",
            "const s = new Set(); for (let n = 0; n < 50000; n++) s.add(new Error('x')); return s",
            "const o = {}; for (let n = 0; n < 100000; n++) o['key ' + n] = n; return o",
            "return new Array(400000).fill(null)",
            "let a = []; for (let n = 0; n < 30; n++) a = [a]; return new Array(8000).fill(a)",
            "return [2n ** 1000000n, -(2n ** 1000000n)]",
            "return 'x'.repeat(3000000)",
        ]
        with enclave.Pool("secure", min_workers=1, max_workers=1, timeout=60.0, cpu_time_limit=60.0) as pool:
            for source in sources:
                value = pool.run(source)
                same = pool.run("await tools.f({v})", globals={"v": value}, tools={"f": lambda v: v})
                print(type(value).__name__, len(value), type(same) is type(value), len(same) == len(value))
        """,
        timeout=800,
    )
    assert [line.split()[0] for line in output.splitlines()] == [
        *("JSSet", "JSMap", "list", "set", "set", "set", "JSSet", "dict", "list", "list", "list", "str")
    ]
    assert "False" not in output


def test_an_exception_inside_a_conversion_says_where(shared: enclave.Pool) -> None:
    class NotATime(datetime):
        def utcoffset(self) -> timedelta:
            raise ValueError("NaTType does not support utcoffset")

    class Odd(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            raise LookupError("no")

    rows = {"rows": [{"t": NotATime(2026, 1, 1)}]}  # noqa: DTZ001
    for value, kind, text in (
        (rows, ValueError, "globals[\"v\"]['rows'][0]['t'] cannot be converted: ValueError: NaTType does not support"),
        ([Odd([1])], LookupError, 'globals["v"][0] cannot be converted: LookupError: no'),
    ):
        with pytest.raises(enclave.InvalidArgumentError) as raised:
            through(shared, value)
        assert str(raised.value).startswith(text)
        assert isinstance(raised.value.__cause__, kind)
    # What is not about the value goes to the caller as it is.
    for error in (KeyboardInterrupt, SystemExit, MemoryError):

        class Raises(list[Any]):
            raised = error

            def __iter__(self) -> Iterator[Any]:
                raise self.raised

        with pytest.raises(error):
            through(shared, Raises([1]))


def test_the_place_of_a_large_key_is_short(shared: enclave.Pool) -> None:
    for key in ("k" * 1_000_000, 10**100_000, -(10**100_000)):
        with pytest.raises(enclave.InvalidTypeError) as raised:
            through(shared, {key: object()})
        assert len(str(raised.value)) < 300


def test_a_value_as_deep_as_can_be_goes_both_ways(shared: enclave.Pool) -> None:
    deep: Any = "end"
    for level in range(512):
        deep = [deep] if level % 2 else {"in": deep}
    assert shared.run("v", globals={"v": deep}, max_value_depth=512) == deep


def test_a_dict_that_another_thread_changes_is_copied_as_it_was_at_some_moment(shared: enclave.Pool) -> None:
    changing: dict[str, int] = {"a": 1}
    over = threading.Event()

    def change() -> None:
        for n in range(1_000_000):
            if over.is_set():
                return
            changing[f"k{n % 500}"] = n
            changing.pop(f"k{(n + 250) % 500}", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(50):
            assert through(shared, changing)["a"] == 1
    finally:
        over.set()
        thread.join()


def test_undefined_is_one_and_false() -> None:
    assert not undefined
    assert repr(undefined) == "undefined"
    assert pickle.loads(pickle.dumps(undefined)) is undefined
    assert copy.deepcopy([undefined])[0] is undefined
    assert type(undefined)() is undefined
    assert undefined is not None


numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.integers(min_value=SAFE - 2, max_value=SAFE + 3),
    st.integers(min_value=-SAFE - 3, max_value=-SAFE + 2),
)
moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
# Text without surrogates, which have no form in UTF-8.
text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.one_of(st.none(), st.booleans(), numbers, text, st.binary(), moments, st.just(undefined))
keys = st.one_of(text, st.integers(min_value=-SAFE, max_value=SAFE), st.binary())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.dictionaries(text, inner), st.dictionaries(keys, inner), st.frozensets(keys).map(set)
    ),
    max_leaves=30,
)


def expected(value: Any) -> Any:
    """What a value is after a round trip: floats that are whole come back as int, for JavaScript has one kind."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= SAFE and math.copysign(1, value) * value >= 0:
        return value if value == 0 and math.copysign(1, value) < 0 else int(value)
    if isinstance(value, list):
        return [expected(item) for item in value]
    if isinstance(value, dict):
        return {key: expected(item) for key, item in value.items()}
    return value


def ordered(value: Any) -> Any:
    """JavaScript puts keys of an object that are array indices first, in the order of their numbers."""
    if isinstance(value, list):
        return [ordered(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        indices = sorted((key for key in value if is_index(key)), key=int)
        rest = [key for key in value if not is_index(key)]
        return {key: ordered(value[key]) for key in [*indices, *rest]}
    if isinstance(value, dict):
        return {key: ordered(item) for key, item in value.items()}
    return value


def is_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and str(int(key)) == key and int(key) < 2**32 - 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
def test_a_round_trip_through_a_script_keeps_the_value(shared: enclave.Pool, value: Any) -> None:
    assert identical(through(shared, value), ordered(expected(value)))


@settings(max_examples=300, deadline=None)
@given(value=values)
def test_a_round_trip_through_the_conversions_keeps_the_value_and_the_order(value: Any) -> None:
    assert identical(enclave._enclave.copy(value), expected(value))


@settings(max_examples=200, deadline=None)
@given(value=st.text())
def test_text_with_surrogates_is_read_as_javascript_reads_it(value: str) -> None:
    wanted = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert enclave._enclave.copy(value) == wanted


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values)
def test_what_a_tool_gets_it_can_give_back(shared: enclave.Pool, value: Any) -> None:
    got = []

    def tool(name: str, args: Any) -> Any:
        got.append(args)
        return args

    result = shared.run("await callTool('echo', v)", globals={"v": value}, tool_handler=tool)
    assert identical(got[0], ordered(expected(value)))
    assert identical(result, got[0])
