// expect: OK {"Adelie":{"Torgersen":52,"Biscoe":44,"Dream":56},"Gentoo":{"Biscoe":124},"Chinstrap":{"Dream":68}}
// Question: how many penguins of each species live on each island?
const counts = {};
for (let offset = 0, total = 1; offset < total; ) {
  const page = await tools.read_rows({ dataset: "penguins", offset });
  total = page.total;
  offset += page.rows.length;
  for (const { species, island } of page.rows) {
    counts[species] ??= {};
    counts[species][island] = (counts[species][island] ?? 0) + 1;
  }
}
return counts;
