// Groups, rolls up, bins, sorts and summarises orders; ticks, sets, searches, sums without rounding errors.
(() => {
  const orders = makeOrders(3000, 3);
  const weights = orders.map((order) => order.weight);
  const totals = Float64Array.from(orders, orderTotal);
  const adder = new d3.Adder();
  for (let i = 0; i < 1000; i++) adder.add(0.1);
  const bins = d3.bin().domain([0, 100]).thresholds(12)(weights);
  const sorted = Float64Array.from(weights).sort(d3.ascending);
  const byDate = d3.index(
    orders.slice(0, 200),
    (order) => order.date,
    (order) => order.id,
  );

  return {
    groups: d3.rollup(
      orders,
      (group) => ({
        count: group.length,
        cents: d3.sum(group, orderTotal),
        median: d3.median(group, (order) => order.weight),
      }),
      (order) => order.country,
      (order) => order.customer,
    ),
    flat: d3.flatRollup(
      orders,
      (group) => group.length,
      (order) => order.date.slice(0, 7),
      (order) => order.express,
    ),
    sorted: d3.groupSort(
      orders,
      (a, b) => d3.descending(d3.sum(a, orderTotal), d3.sum(b, orderTotal)),
      (order) => order.customer,
    ),
    index: [...byDate].slice(0, 20).map(([date, orders]) => [date, [...orders.keys()]]),
    bins: bins.map((bin) => [bin.x0, bin.x1, bin.length]),
    summary: {
      extent: d3.extent(weights),
      mean: d3.mean(weights),
      variance: d3.variance(weights),
      deviation: d3.deviation(weights),
      quantiles: [0, 0.1, 0.25, 0.5, 0.9, 1].map((p) => d3.quantileSorted(sorted, p)),
      mode: d3.mode(orders, (order) => order.customer),
      fsum: d3.fsum(weights),
      cumulative: d3.cumsum(totals.slice(0, 50)),
      adder: +adder,
      rank: d3.rank(orders.slice(0, 100), (order) => order.weight),
      least: d3.least(orders, (a, b) => a.weight - b.weight || a.id - b.id),
      greatest: d3.greatestIndex(totals),
    },
    thresholds: [
      d3.thresholdFreedmanDiaconis(weights, 0, 100),
      d3.thresholdScott(weights, 0, 100),
      d3.thresholdSturges(weights),
    ],
    ticks: [
      [0, 1, 7],
      [-3.5, 12.25, 20],
      [1e-7, 3e-7, 5],
      [0, 987654321, 10],
      [10, 0, 4],
    ].map(([start, stop, count]) => ({
      ticks: d3.ticks(start, stop, count),
      step: d3.tickStep(start, stop, count),
      nice: d3.nice(start, stop, count),
    })),
    search: [0, 12.5, 50, 99.9, 200].map((x) => [
      d3.bisectLeft(sorted, x),
      d3.bisectRight(sorted, x),
      d3.bisectCenter(sorted, x),
    ]),
    sets: [
      d3.union("abc", "cde"),
      d3.intersection(
        orders.map((order) => order.country),
        ["DE", "JP", "US"],
      ),
      d3.difference("abcdef", "bd", "f"),
      d3.superset("abcdef", "ace"),
      d3.disjoint([1, 2], [3, 4]),
    ],
    cross: d3.cross([1, 2, 3], "ab", (number, letter) => letter + number),
    matrix: d3.transpose([
      [1, 2, 3],
      [4, 5, 6],
    ]),
    pairs: d3.pairs([1, 4, 9, 16, 25], (a, b) => b - a),
    shuffled: d3.shuffler(randomNumbers(33))(d3.range(100)),
    selected: d3.quickselect(Array.from(weights), 1500)[1500],
    blurred: d3.blur2({ data: Float64Array.from(weights.slice(0, 400)), width: 20, height: 20 }, 2).data,
  };
})();
