// Uses lodash as programs do: collections, deep objects, strings of many scripts, functions and chains.
(() => {
  const orders = makeOrders(1000, 9);
  const attempt = (template, data) => {
    const compiled = _.attempt(() => _.template(template)(data));
    return _.isError(compiled) ? compiled.name : compiled;
  };
  const texts = ["fooBar baz", "__FOO_BAR__", "déjà vu œuvre", "XMLHttpRequest2", "über-groß", "👨‍👩‍👧 family 🇪🇺"];
  const deep = {
    a: [{ b: { c: 3 } }, [1, [2, [3, [4]]]]],
    when: new Date(0),
    re: /x/gi,
    set: new Set([1, { y: 2 }]),
    map: new Map([["k", [1]]]),
    bytes: new Uint8Array([1, 2, 3]),
  };
  const clone = _.cloneDeep(deep);
  clone.a[0].b.c = 4;
  let calls = 0;
  const slow = _.memoize((n) => (calls++, n * n));

  return {
    collections: {
      countries: _(orders)
        .groupBy("country")
        .mapValues((group) => _.sumBy(group, orderTotal))
        .toPairs()
        .sortBy(1)
        .reverse()
        .value(),
      sorted: _.map(_.orderBy(orders, ["customer", orderTotal], ["asc", "desc"]), "id").slice(0, 30),
      keyed: _.keyBy(_.uniqBy(orders, "customer"), (order) => _.deburr(order.customer)),
      parts: _.partition(orders, "express").map(_.size),
      counted: _.countBy(_.flatMap(orders, "lines"), "product"),
      chunked: _.chunk(_.range(17), 5),
      best: _.maxBy(orders, orderTotal).id,
      found: [
        _.find(orders, { country: "JP", express: true }).id,
        _.findLastIndex(orders, ["customer", "Ada"]),
        _.some(orders, (order) => order.weight > 99.9),
      ],
      reduced: _.transform(
        orders.slice(0, 50),
        (sums, order) => {
          sums[order.country] = (sums[order.country] || 0) + order.weight * 1000;
        },
        {},
      ),
    },
    arrays: [
      _.xorBy([2.1, 1.2], [2.3, 3.4], Math.floor),
      _.differenceWith([{ x: 1 }, { x: 2 }], [{ x: 1 }], _.isEqual),
      _.intersection([2, 1, NaN], [NaN, 2]),
      _.zipObjectDeep(["a.b[0].c", "a.b[1].d"], [1, 2]),
      _.flattenDepth([1, [2, [3, [4]]]], 2),
      _.sortedIndexBy([{ x: 4 }, { x: 5 }], { x: 4.5 }, "x"),
      _.takeRightWhile([1, 5, 2, 8, 9], (n) => n > 1),
      _.pullAllWith([1, 2, 3, 4], [2, 4], _.eq),
      _.unzipWith(
        [
          [1, 10, 100],
          [2, 20, 200],
        ],
        _.add,
      ),
    ],
    objects: [
      clone,
      _.isEqual(clone, deep),
      _.merge({ a: [{ b: 1 }, { c: 2 }] }, { a: [{ d: 3 }, { e: 4 }] }),
      _.defaultsDeep({ a: { b: 2 } }, { a: { b: 1, c: 3 } }),
      _.get(deep, "a[0].b.c"),
      _.set({}, ["x", "0", "y z"], 1),
      _.omit({ a: 1, b: { c: 2, d: 3 } }, ["b.c"]),
      _.pickBy({ a: 1, b: "2", c: 3 }, _.isNumber),
      _.invertBy({ a: 1, b: 2, c: 1 }),
      _.at(deep, ["a[0].b", "a[1][1][0]"]),
      _.isEqualWith([1, "a"], [1, "A"], (a, b) => (_.isString(a) ? _.toLower(a) === _.toLower(b) : undefined)),
    ],
    strings: texts.map((text) => ({
      camel: _.camelCase(text),
      kebab: _.kebabCase(text),
      start: _.startCase(text),
      words: _.words(text),
      length: _.size(text),
      pieces: _.toArray(text),
      cut: _.truncate(text, { length: 9, omission: "…" }),
      padded: _.pad(text, 24, "_-"),
      escaped: _.escapeRegExp(text),
    })),
    escaped: [_.escape("<a href='x'>&"), _.unescape("&lt;&amp;&#39;")],
    templates: attempt("<% _.each(list, (x) => { %><li><%- x %></li><% }) %>${ n }", { list: ["<", 1], n: 7 }),
    functions: [
      [3, 4, 3].map(slow),
      calls,
      _.curry((a, b, c) => [a, b, c])(1)(_, 3)(2),
      _.flow([_.add, (n) => n * n])(1, 2),
      _.partialRight((greeting, name) => `${greeting} ${name}`, "fred")("hi"),
      _.overArgs((...all) => all, [(n) => n * 2, (n) => n + 1])(5, 10),
      _.times(4, _.constant("x")),
      _.cond([
        [_.matches({ a: 1 }), _.constant("one")],
        [_.stubTrue, _.constant("other")],
      ])({ a: 1, b: 2 }),
      _.rearg((a, b, c) => [a, b, c], [2, 0, 1])("b", "c", "a"),
    ],
    numbers: [
      _.round(4.006, 2),
      _.ceil(6040, -2),
      _.clamp(-10, -5, 5),
      _.inRange(3, 2, 4),
      _.mean([4, 2, 8, 6]),
      _.toInteger("3.2"),
      _.parseInt("08"),
    ],
    kinds: [
      null,
      undefined,
      NaN,
      0,
      "",
      [],
      {},
      /x/,
      new Map(),
      Symbol.iterator,
      () => 1,
      new Error("e"),
      new Uint8Array(2),
    ].map((value) =>
      [
        "isArguments",
        "isArrayLike",
        "isBuffer",
        "isElement",
        "isEmpty",
        "isError",
        "isFunction",
        "isMap",
        "isNaN",
        "isNil",
        "isObjectLike",
        "isPlainObject",
        "isRegExp",
        "isSymbol",
        "isTypedArray",
      ].filter((test) => _[test](value)),
    ),
    lazy: _(orders)
      .filter("express")
      .map("weight")
      .filter((weight) => weight > 10)
      .take(10)
      .value(),
    strange: [
      _.toString(-0),
      _.toPath("a[0].b['c.d']"),
      _.range(0, -4, -1),
      _.castArray(),
      _.toPairs(new Map([[1, 2]])),
    ],
  };
})();
