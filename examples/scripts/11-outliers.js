// expect: OK ["Adelie flipper_length_mm 210 (z 3.1)","Gentoo bill_length_mm 59.6 (z 3.9)"]
// Question: which penguins are unlike their species? A script without await: the last expression is the result.
// callTool(name, args) is the long form of tools.name(args); a promise as the result is awaited.
function zScores(rows, key) {
  const numbers = rows.map((row) => row[key]);
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  const sd = Math.sqrt(numbers.reduce((sum, n) => sum + (n - mean) ** 2, 0) / (numbers.length - 1));
  return numbers.map((n) => (n - mean) / sd);
}

const KEYS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"];

function outliers(rows) {
  const found = [];
  for (const [species, members] of Map.groupBy(rows, (row) => row.species)) {
    const complete = members.filter((row) => KEYS.every((key) => row[key] !== null));
    for (const key of KEYS) {
      zScores(complete, key).forEach((z, i) => {
        if (Math.abs(z) > 2.9) found.push(`${species} ${key} ${complete[i][key]} (z ${z.toFixed(1)})`);
      });
    }
  }
  return found;
}

Promise.all([0, 100, 200, 300].map((offset) => callTool("read_rows", { dataset: "penguins", offset })))
  .then((pages) => outliers(pages.flatMap((page) => page.rows)));
