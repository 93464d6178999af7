// expect: OK [{"name":"all","n":342,"mass":4202,"r":0.871},{"name":"Adelie","n":151,"mass":3701,"r":0.468},{"name":"Gentoo","n":123,"mass":5076,"r":0.703},{"name":"Chinstrap","n":68,"mass":3733,"r":0.642}]
// Question: does a longer flipper mean a heavier penguin? Within each species, and over all.
async function readAll(dataset) {
  const rows = [];
  let page;
  do {
    page = await tools.read_rows({ dataset, offset: rows.length });
    rows.push(...page.rows);
  } while (rows.length < page.total);
  return rows;
}

const mean = (numbers) => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;

function correlation(points) {
  const mx = mean(points.map(([x]) => x));
  const my = mean(points.map(([, y]) => y));
  const sum = (f) => points.reduce((total, [x, y]) => total + f(x - mx, y - my), 0);
  return sum((x, y) => x * y) / Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y));
}

const measured = (await readAll("penguins")).filter((row) => row.flipper_length_mm && row.body_mass_g);
const groups = Map.groupBy(measured, (row) => row.species);
return [["all", measured], ...groups].map(([name, rows]) => ({
  name,
  n: rows.length,
  mass: Math.round(mean(rows.map((row) => row.body_mass_g))),
  r: Number(correlation(rows.map((row) => [row.flipper_length_mm, row.body_mass_g])).toFixed(3)),
}));
