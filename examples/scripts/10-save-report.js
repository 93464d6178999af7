// expect: OK {"id":1,"bytes":342}
// Writes a report and hands it to the host, which decides what saving means.
const pages = await Promise.all(
  [0, 100, 200, 300].map((offset) => tools.read_rows({ dataset: "penguins", offset })),
);
const rows = pages.flatMap((page) => page.rows).filter((row) => row.body_mass_g !== null);
const groups = Object.groupBy(rows, (row) => `${row.species} ${row.year}`);

const lines = Object.keys(groups)
  .sort()
  .map((key) => {
    const mean = groups[key].reduce((sum, row) => sum + row.body_mass_g, 0) / groups[key].length;
    return `${key.padEnd(15)} ${mean.toFixed(0)} ${"#".repeat(mean / 250)}`;
  });

return tools.save_report({ title: "Mean body mass in grams", body: lines.join("\n") });
