// expect: OK {"pages":7,"rows":344,"distinct":344,"complete":true,"perStudy":{"PAL0708":110,"PAL0809":114,"PAL0910":120}}
// Reads a data set in small pages, all at once, and checks that nothing is missing or doubled.
const size = 50;
const { total } = await tools.read_rows({ dataset: "penguins-raw", limit: 1 });
const offsets = Array.from({ length: Math.ceil(total / size) }, (_, i) => i * size);
const pages = await Promise.all(
  offsets.map((offset) => tools.read_rows({ dataset: "penguins-raw", offset, limit: size })),
);
const rows = pages.flatMap((page) => page.rows);
const ids = new Set(rows.map((row) => `${row.Species}/${row["Sample Number"]}`));
const studies = Object.entries(Object.groupBy(rows, (row) => row.studyName));
return {
  pages: pages.length,
  rows: rows.length,
  distinct: ids.size,
  complete: rows.length === total && ids.size === total,
  perStudy: Object.fromEntries(studies.map(([study, members]) => [study, members.length])),
};
