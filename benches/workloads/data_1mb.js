const active = input.records.filter(({ active }) => active).length;
const records = input.records.map(({ id, name, tags, score, ...rest }) =>
  ({ id, name: name.toUpperCase(), tags: tags.map((tag) => '#' + tag), score: score * 2, ...rest }));
({ active, records });
