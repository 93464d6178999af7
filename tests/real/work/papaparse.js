// Writes thousands of orders as CSV and reads them back, in several dialects, streamed row by row, and with mistakes.
(() => {
  const orders = makeOrders(2500, 11);
  const rows = orders.map(({ lines, ...order }) => ({
    ...order,
    items: lines.length,
    total: orderTotal({ lines }) / 100,
    first: lines[0].product,
  }));
  const dialects = [
    {},
    { delimiter: ";", newline: "\n" },
    { quotes: true, delimiter: "\t" },
    { quoteChar: "'", escapeChar: "\\" },
    { escapeFormulae: true, columns: ["id", "note", "total"] },
  ];
  const written = dialects.map((dialect) => Papa.unparse(rows, dialect));

  /** A number that differs where the texts do. */
  const hash = (text) => Array.from(text).reduce((sum, letter) => (Math.imul(sum, 31) + letter.codePointAt(0)) | 0, 0);
  const read = written.map((text, i) =>
    Papa.parse(text, {
      header: true,
      dynamicTyping: (column) => column !== "date",
      quoteChar: dialects[i].quoteChar,
      escapeChar: dialects[i].escapeChar,
    }),
  );

  const sums = new Map();
  let aborted = 0;
  Papa.parse(written[0], {
    header: true,
    dynamicTyping: true,
    step: ({ data }, parser) => {
      sums.set(data.country, (sums.get(data.country) ?? 0) + data.items);
      if (++aborted === 2000) parser.abort();
    },
  });
  const small = {
    plain: "a,b,c\n1,2,3\n4,5,6",
    quoted: 'a,"b ""quoted""","c\nd"\r\n"","",\r\n',
    ragged: "a,b\n1\n1,2,3\n",
    open: 'a,b\n"1,2\n3,4',
    stray: 'a,b\n"1"x,2\n',
    comments: "# first\na|b\n# second\n1|2\n",
    blanks: "\n\na,b\n\n , \n1,2\n\n",
    marked: "\ufeffname,wert\nÄpfel,1e3\nBirnen,-0.5\nMango,0x10\n",
    duplicate: "a,a,b,a\n1,2,3,4\n",
    separator: "a\x1fb\x1ec\x1fd",
  };

  return {
    written: written.map((text) => [text.length, hash(text), text.slice(0, 300)]),
    read: read.map(({ data, errors, meta }) => ({ rows: data.length, last: data.at(-1), errors: errors.length, meta })),
    // An empty field is read as null.
    same: JSON.stringify(read[0].data) === JSON.stringify(rows.map((row) => ({ ...row, note: row.note || null }))),
    notes: new Set(read[0].data.map((row) => row.note)),
    sums,
    small: Object.entries(small).map(([name, text]) => [
      name,
      Papa.parse(text),
      Papa.parse(text, { header: true, dynamicTyping: true, skipEmptyLines: "greedy", comments: "#" }),
    ]),
    changed: Papa.parse(small.plain, {
      header: true,
      transformHeader: (name, i) => name.toUpperCase() + i,
      transform: (value, column) => `${column}:${value * 2}`,
      preview: 1,
    }),
    arrays: [
      Papa.unparse([
        ["x", null, undefined, true],
        [1.5, "a,b", ' "q" ', new Date(0)],
      ]),
      Papa.unparse(
        {
          fields: ["one", "two"],
          data: [
            [1, 2],
            [3, 4],
          ],
        },
        { header: false },
      ),
      Papa.unparse([{ a: 1 }, { a: 2, b: 3 }], { columns: ["b", "a"] }),
    ],
  };
})();
