// Made-up data for the work of the libraries: the same in every run and on every engine.

/** A source of numbers from 0 up to, but not including, 1 (mulberry32). */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Orders of a shop. */
function makeOrders(count, seed) {
  const next = randomNumbers(seed);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const customers = ["Ada", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Giovanni", "Håkon", "Iñaki", "Jürgen"];
  const products = ["apple", "bread", "coffee", "dragonfruit 🐉", "eggs", "flour", "ginger", "honey"];
  const notes = [
    "",
    "leave at the door",
    'say "hello", please',
    "two lines:\nfirst, second",
    "<b>fragile</b> & cold",
    "übermorgen",
  ];
  const orders = [];
  for (let id = 1; id <= count; id++) {
    const lines = [];
    for (let line = Math.floor(next() * 4); line >= 0; line--) {
      lines.push({
        product: pick(products),
        quantity: 1 + Math.floor(next() * 9),
        cents: 50 + Math.floor(next() * 5000),
      });
    }
    orders.push({
      id,
      customer: pick(customers),
      country: pick(["DE", "ES", "FR", "JP", "KR", "NO"]),
      date: new Date(Date.UTC(2023, 0, 1) + Math.floor(next() * 730) * 86400000).toISOString().slice(0, 10),
      express: next() < 0.25,
      weight: Math.round(next() * 100000) / 1000,
      note: pick(notes),
      lines,
    });
  }
  return orders;
}

/** What an order costs, in cents. */
function orderTotal(order) {
  return order.lines.reduce((sum, line) => sum + line.quantity * line.cents, 0);
}
