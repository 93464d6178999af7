// expect: OK {"sentences":[["Nest never observed with full clutch.",36],["Not enough blood for isotopes.",9],["Sexing primers did not amplify.",5]],"words":["blood 2","obtained 2","sample 2","adult 1","data 1","delta 1"]}
// Question: what do the field notes say? Counts sentences that mean the same, and the words of the rare ones.
const STOP_WORDS = new Set("a an and at be but for in may no not of on one or so the to with was were".split(" "));

const pages = await Promise.all(
  [0, 100, 200, 300].map((offset) => tools.read_rows({ dataset: "penguins-raw", offset })),
);
const notes = pages.flatMap((page) => page.rows.map((row) => row.Comments ?? ""));

const count = (texts) =>
  [...Map.groupBy(texts, (text) => text)]
    .map(([text, all]) => [text, all.length])
    .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));

const sentences = count(
  notes.flatMap((note) => note.split(/(?<=[.!?])\s+/)).map((sentence) => sentence.trim()).filter(Boolean),
);
const rare = sentences.filter(([, uses]) => uses < 5).map(([sentence]) => sentence);
const words = count(
  rare
    .flatMap((sentence) => sentence.toLowerCase().match(/\p{Letter}+/gu) ?? [])
    .filter((word) => !STOP_WORDS.has(word)),
);

return {
  sentences: sentences.filter(([, uses]) => uses >= 5),
  words: words.slice(0, 6).map(([word, uses]) => `${word} ${uses}`),
};
