// Builds and changes large persistent collections, shares structure between versions, and compares them by value.
(() => {
  const {
    List,
    Map: IMap,
    OrderedMap,
    OrderedSet,
    Range,
    Record,
    Repeat,
    Seq,
    Set: ISet,
    Stack,
    fromJS,
    is,
    hash,
    merge,
    mergeDeepWith,
    setIn,
  } = Immutable;
  const orders = fromJS(makeOrders(500, 8));

  const numbers = List(Range(0, 20000));
  const versions = [numbers];
  for (let i = 0; i < 200; i++) versions.push(versions[i].set((i * 7919) % 20000, -i).push(i));
  const many = IMap().withMutations((map) => {
    for (let i = 0; i < 20000; i++) map.set(`key ${i % 15000}`, i);
    for (let i = 0; i < 15000; i += 3) map.delete(`key ${i}`);
  });
  const colliding = IMap(["Aa", "BB", "C#"].flatMap((a) => ["Aa", "BB", "C#"].map((b) => [a + b, a.length + b])));

  const Point = Record({ x: 0, y: 0, label: "none" }, "Point");
  const point = new Point({ x: 3, z: 9 }).set("y", 4);
  const counted = [];
  const lazy = Seq(Range(1, Infinity))
    .map((n) => (counted.push(n), n * n))
    .filter((n) => n % 3 === 1)
    .take(5);

  return {
    versions: versions
      .filter((_, i) => i % 50 === 0)
      .map((list) => [list.size, list.get(7919), list.last(), list.hashCode()]),
    first: versions[0].equals(numbers) && versions[0].reduce((a, b) => a + b, 0),
    many: { size: many.size, sum: many.reduce((a, b) => a + b, 0), some: many.get("key 14999"), hash: many.hashCode() },
    order: many.keySeq().take(40).toArray(),
    colliding: colliding.sortBy((_, key) => key).toJS(),
    countries: orders
      .groupBy((order) => order.get("country"))
      .map((group) =>
        group
          .flatMap((order) => order.get("lines"))
          .reduce((sum, line) => sum + line.get("quantity") * line.get("cents"), 0),
      )
      .sort((a, b) => b - a)
      .toArray(),
    updated: orders
      .update(0, (order) =>
        order.updateIn(["lines", 0, "cents"], (cents) => cents * 2).setIn(["address", "street"], "Main"),
      )
      .get(0)
      .toJS(),
    nested: [
      setIn({ a: [{ b: 1 }] }, ["a", 0, "b"], 2),
      merge({ a: 1, b: [1] }, { b: [2], c: 3 }),
      mergeDeepWith((a, b) => a + b, { a: { x: 1 }, b: [1] }, { a: { x: 2, y: 5 }, b: [9] }),
      orders.getIn([3, "lines", 0, "product"]),
      orders.hasIn([3, "lines", 99]),
    ],
    equal: [
      is(IMap({ a: List([1, NaN]) }), IMap({ a: List([1, NaN]) })),
      ISet([List([1]), List([1]), List([2])]).size,
      is(0, -0),
      [IMap({ a: 1 }), List("abc"), "text", 1.5, true, null].map((value) => hash(value)),
    ],
    sets: [
      ISet("abcde").union("xyz").subtract("a").intersect("bcxyz").sort().join(""),
      OrderedSet("hello world").toArray(),
    ],
    lists: {
      sliced: numbers.slice(-5).unshift(1, 2).toJS(),
      zipped: List("abc").zip(Range(1, Infinity), Repeat("z")).toJS(),
      splice: List("abcdef").splice(1, 2, "X", "Y", "Z").interpose("-").join(""),
      stack: Stack("abc").push("d", "e").pop().toArray(),
      windows: numbers
        .take(10)
        .toSeq()
        .groupBy((n) => n % 3)
        .map((seq) => seq.toList())
        .toJS(),
    },
    ordered: OrderedMap({ z: 1, y: 2 })
      .set("x", 3)
      .delete("y")
      .set("y", 4)
      .mapKeys((key) => key.toUpperCase())
      .toArray(),
    record: [point.toJS(), point.has("z"), String(point), is(point, Point({ x: 3, y: 4 }))],
    lazy: [lazy.toArray(), counted.length],
    text: String(fromJS({ a: [1, { b: "c" }], s: "x" })),
  };
})();
