// expect: OK {"years":[1959,2019],"n":60,"degreesPer100ppm":1.05,"rSquared":0.919}
// Question: how closely did the world's temperature follow carbon dioxide? Joins two data sets by year.
async function readAll(dataset) {
  const { total, rows } = await tools.read_rows({ dataset });
  const offsets = [];
  for (let offset = rows.length; offset < total; offset += 100) offsets.push(offset);
  const pages = await Promise.all(offsets.map((offset) => tools.read_rows({ dataset, offset })));
  return rows.concat(...pages.map((page) => page.rows));
}

const [months, years] = await Promise.all([readAll("co2-concentration"), readAll("global-temp")]);

const byYear = Map.groupBy(months, (row) => new Date(row.Date).getUTCFullYear());
const joined = years
  .filter(({ year }) => byYear.get(year)?.length === 12)
  .map(({ year, temp }) => {
    const co2 = byYear.get(year).reduce((sum, row) => sum + row["adjusted CO2"], 0) / 12;
    return { year, temp, co2 };
  });

// Least squares: temperature = intercept + slope * co2.
const n = joined.length;
const sum = (f) => joined.reduce((total, row) => total + f(row), 0);
const [sx, sy] = [sum((r) => r.co2), sum((r) => r.temp)];
const [sxx, sxy, syy] = [sum((r) => r.co2 ** 2), sum((r) => r.co2 * r.temp), sum((r) => r.temp ** 2)];
const slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
const r = (n * sxy - sx * sy) / Math.sqrt((n * sxx - sx * sx) * (n * syy - sy * sy));

return {
  years: [joined[0].year, joined.at(-1).year],
  n,
  degreesPer100ppm: Number((slope * 100).toFixed(2)),
  rSquared: Number((r * r).toFixed(3)),
};
