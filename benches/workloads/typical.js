const orders = [
  { id: 1, customer: 'Ada', items: [{ sku: 'A-100', price: 19.9, count: 2 }, { sku: 'B-7', price: 5, count: 1 }] },
  { id: 2, customer: 'Bob', items: [{ sku: 'A-100', price: 19.9, count: 1 }] },
  { id: 3, customer: 'Ada', items: [{ sku: 'C-42', price: 120, count: 1 }, { sku: 'B-7', price: 5, count: 4 }] },
  { id: 4, customer: 'Cyd', items: [] },
];
const total = ({ items }) => items.reduce((sum, { price, count }) => sum + price * count, 0);
const byCustomer = {};
for (const order of orders.filter(({ items }) => items.length > 0)) {
  const { customer, ...rest } = order;
  (byCustomer[customer] ??= []).push({ ...rest, total: Math.round(total(order) * 100) / 100 });
}
const report = Object.entries(byCustomer)
  .map(([customer, list]) => ({ customer, orders: list.length, sum: list.reduce((sum, { total }) => sum + total, 0) }))
  .sort((a, b) => b.sum - a.sum);
const skus = [...new Set(JSON.stringify(orders).match(/[A-Z]-\d+/g))].sort();
({ report, skus, text: report.map(({ customer, sum }) => `${customer}: ${sum.toFixed(2)}`).join('; ') });
