// About 20 MB of objects, arrays and strings, dropped in four portions.
let sum = 0;
for (let portion = 0; portion < 4; portion++) {
  const kept = [];
  for (let i = 0; i < 25000; i++) kept.push({ id: i, name: 'item ' + i, tags: [i % 7, i % 11, portion], at: { x: i, y: -i } });
  sum += kept.reduce((total, { tags, at, name }) => total + tags[0] + at.x + name.length, 0);
}
sum;
