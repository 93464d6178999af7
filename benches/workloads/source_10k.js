// What a longer answer of a model looks like: helpers of all sorts, most of them used once, over small data.

// --- Text

const words = (text) => text.toLowerCase().match(/[a-z']+/g) ?? [];

function wordCounts(text) {
  const counts = new Map();
  for (const word of words(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
}

function wrap(text, width) {
  const lines = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) { lines.push(line); line = word; }
    else line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') lines.push(line);
  return lines;
}

const capitalize = (word) => word.charAt(0).toUpperCase() + word.slice(1);
const camelCase = (name) => name.replace(/[-_ ]+(\w)/g, (_, letter) => letter.toUpperCase());
const snakeCase = (name) => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();

function levenshtein(a, b) {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      current.push(Math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost));
    }
    previous = current;
  }
  return previous[b.length];
}

// --- CSV

function parseCsv(text) {
  const rows = [];
  let row = [], field = '', quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') { field += '"'; i++; }
      else if (c === '"') quoted = false;
      else field += c;
    } else if (c === '"') quoted = true;
    else if (c === ',') { row.push(field); field = ''; }
    else if (c === '\n') { row.push(field); rows.push(row); row = []; field = ''; }
    else field += c;
  }
  if (field !== '' || row.length > 0) { row.push(field); rows.push(row); }
  const [header, ...lines] = rows;
  return lines.map((line) => Object.fromEntries(header.map((name, i) => [camelCase(name), line[i]])));
}

function toCsv(records) {
  const names = Object.keys(records[0]);
  const quote = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replace(/"/g, '""')}"` : String(value));
  return [names.map(snakeCase).join(','), ...records.map((r) => names.map((name) => quote(r[name])).join(','))].join('\n');
}

// --- Arithmetic: a tokenizer, a parser and an evaluator

function tokenize(source) {
  const pattern = /\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_]\w*)|(.))/g;
  const tokens = [];
  for (const [, number, name, symbol] of source.matchAll(pattern)) {
    if (number !== undefined) tokens.push({ kind: 'number', value: Number(number) });
    else if (name !== undefined) tokens.push({ kind: 'name', value: name });
    else tokens.push({ kind: 'symbol', value: symbol });
  }
  return tokens;
}

class Parser {
  #tokens;
  #at = 0;

  constructor(source) { this.#tokens = tokenize(source); }

  static parse(source) {
    const parser = new Parser(source);
    const tree = parser.sum();
    if (parser.#at < parser.#tokens.length) throw new SyntaxError(`unexpected ${parser.peek()}`);
    return tree;
  }

  peek() { return this.#tokens[this.#at]?.value; }
  next() { return this.#tokens[this.#at++]; }

  binary(operators, operand) {
    let left = operand();
    while (operators.includes(this.peek())) {
      const operator = this.next().value;
      left = { kind: 'binary', operator, left, right: operand() };
    }
    return left;
  }

  sum() { return this.binary(['+', '-'], () => this.product()); }
  product() { return this.binary(['*', '/', '%'], () => this.unary()); }

  unary() {
    if (this.peek() !== '-') return this.primary();
    this.next();
    return { kind: 'negate', operand: this.unary() };
  }

  primary() {
    const token = this.next();
    if (token === undefined) throw new SyntaxError('unexpected end');
    if (token.kind === 'number') return { kind: 'literal', value: token.value };
    if (token.value === '(') {
      const inner = this.sum();
      if (this.next()?.value !== ')') throw new SyntaxError('expected )');
      return inner;
    }
    if (token.kind !== 'name') throw new SyntaxError(`unexpected ${token.value}`);
    if (this.peek() !== '(') return { kind: 'variable', name: token.value };
    this.next();
    const list = [];
    while (this.peek() !== ')') {
      list.push(this.sum());
      if (this.peek() === ',') this.next();
    }
    this.next();
    return { kind: 'call', name: token.value, list };
  }
}

const functions = { max: Math.max, min: Math.min, round: Math.round, avg: (...list) => list.reduce((a, b) => a + b, 0) / list.length };

function evaluate(tree, scope) {
  switch (tree.kind) {
    case 'literal': return tree.value;
    case 'variable':
      if (!(tree.name in scope)) throw new ReferenceError(`${tree.name} is not known`);
      return scope[tree.name];
    case 'negate': return -evaluate(tree.operand, scope);
    case 'call': return functions[tree.name](...tree.list.map((each) => evaluate(each, scope)));
    case 'binary': {
      const left = evaluate(tree.left, scope), right = evaluate(tree.right, scope);
      switch (tree.operator) {
        case '+': return left + right;
        case '-': return left - right;
        case '*': return left * right;
        case '/': return left / right;
        default: return left % right;
      }
    }
    default: throw new TypeError(`no such node: ${tree.kind}`);
  }
}

// --- Structures

class LruCache {
  #entries = new Map();
  hits = 0;

  constructor(size) { this.size = size; }

  get(key, make) {
    if (this.#entries.has(key)) {
      const value = this.#entries.get(key);
      this.#entries.delete(key);
      this.#entries.set(key, value);
      this.hits++;
      return value;
    }
    const value = make(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.size) this.#entries.delete(this.#entries.keys().next().value);
    return value;
  }
}

class Heap {
  #items = [];

  constructor(before) { this.before = before; }
  get size() { return this.#items.length; }

  push(item) {
    const items = this.#items;
    let i = items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.before(items[i], items[parent])) break;
      [items[i], items[parent]] = [items[parent], items[i]];
      i = parent;
    }
  }

  pop() {
    const items = this.#items, top = items[0], last = items.pop();
    if (items.length > 0) {
      items[0] = last;
      for (let i = 0; ;) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2]) {
          if (child < items.length && this.before(items[child], items[least])) least = child;
        }
        if (least === i) break;
        [items[i], items[least]] = [items[least], items[i]];
        i = least;
      }
    }
    return top;
  }
}

function shortestPaths(edges, from) {
  const graph = new Map();
  for (const [a, b, length] of edges) {
    for (const [x, y] of [[a, b], [b, a]]) {
      if (!graph.has(x)) graph.set(x, []);
      graph.get(x).push({ to: y, length });
    }
  }
  const distances = { [from]: 0 };
  const heap = new Heap((a, b) => a.distance < b.distance);
  heap.push({ node: from, distance: 0 });
  while (heap.size > 0) {
    const { node, distance } = heap.pop();
    if (distance > distances[node]) continue;
    for (const { to, length } of graph.get(node) ?? []) {
      const sum = distance + length;
      if (sum < (distances[to] ?? Infinity)) {
        distances[to] = sum;
        heap.push({ node: to, distance: sum });
      }
    }
  }
  return distances;
}

function* pages(list, size) {
  for (let i = 0; i < list.length; i += size) yield list.slice(i, i + size);
}

const groupBy = (list, key) => list.reduce((groups, item) => {
  (groups[key(item)] ??= []).push(item);
  return groups;
}, {});

function deepMerge(a, b) {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(b)) return b;
  const result = { ...a };
  for (const [key, value] of Object.entries(b)) result[key] = key in a ? deepMerge(a[key], value) : value;
  return result;
}

// --- Checks

const rules = {
  required: (value) => value !== undefined && value !== '',
  number: (value) => !Number.isNaN(Number(value)),
  email: (value) => /^[\w.+-]+@[\w-]+\.[\w.]+$/.test(value),
  year: (value) => /^(19|20)\d\d$/.test(value),
};

function validate(record, schema) {
  const errors = [];
  for (const [name, needed] of Object.entries(schema)) {
    for (const rule of needed) if (!rules[rule](record[name])) errors.push(`${name}: ${rule}`);
  }
  return errors;
}

// --- All of it

const csv = `first-name,e-mail,born,score
Ada,ada@example.org,1985,91
"Bob ""B"" Ray",bob@example,1990,x
Cyd,cyd@example.com,2001,77
Dee,,1890,64
`;
const people = parseCsv(csv);
const schema = { firstName: ['required'], eMail: ['required', 'email'], born: ['year'], score: ['number'] };
const checked = people.map((person) => ({ ...person, errors: validate(person, schema) }));
const valid = checked.filter(({ errors }) => errors.length === 0).map(({ errors, ...person }) => person);

const cache = new LruCache(2);
const formula = (text) => cache.get(text, Parser.parse);
const values = ['a + b * 2', '-(a - b) % 4', 'a + b * 2', 'max(a, b, avg(a, b, 9)) / 3'].map((text) => evaluate(formula(text), { a: 5, b: 7 }));

let refused;
try { Parser.parse('1 + * 2'); } catch (error) { refused = `${error.name}: ${error.message}`; }

const text = 'The quick brown fox jumps over the lazy dog, and the dog does not mind the fox.';
const roads = [['a', 'b', 7], ['a', 'c', 9], ['a', 'f', 14], ['b', 'c', 10], ['b', 'd', 15], ['c', 'd', 11], ['c', 'f', 2], ['d', 'e', 6], ['e', 'f', 9]];

({
  top: wordCounts(text).slice(0, 3),
  wrapped: wrap(text, 30).map(capitalize),
  distance: levenshtein('kitten sitting', 'sitting kitten'),
  csv: toCsv(valid),
  errors: checked.flatMap(({ errors }) => errors),
  values: values.map((value) => Math.round(value * 1000) / 1000),
  hits: cache.hits,
  refused,
  paths: shortestPaths(roads, 'a'),
  pages: [...pages(roads.map(([a, b]) => a + b), 4)],
  groups: Object.fromEntries(Object.entries(groupBy(roads, ([from]) => from)).map(([key, list]) => [key, list.length])),
  merged: deepMerge({ a: { b: 1, c: [1, 2] }, d: 1 }, { a: { c: [3], e: { f: 2 } }, d: null }),
});
