// expect: OK 11111
// Writes its progress to the console; see it with --console.
const datasets = await tools.list_datasets();
console.log("%d data sets", datasets.length);
let cells = 0;
for (const { name, rows, columns } of datasets) {
  cells += rows * columns.length;
  console.info(`${name}:`, { rows, columns: columns.length });
}
console.debug("first columns:", datasets.map(({ columns }) => columns[0]));
if (cells > 5000) console.warn("that is a lot of cells:", cells);
console.error(new RangeError("an error is printed with its name and message"));
return cells;
