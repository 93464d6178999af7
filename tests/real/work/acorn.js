// Parses half a megabyte of script and a module, walks the trees, counts, and reports where broken code breaks.
(() => {
  function walk(node, visit, depth = 0) {
    visit(node, depth);
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (child && typeof child.type === "string") walk(child, visit, depth + 1);
      }
    }
  }

  function summary(text, options) {
    const comments = [];
    const tree = acorn.parse(text, { ecmaVersion: "latest", onComment: comments, locations: true, ...options });
    const kinds = {};
    const functions = [];
    let deepest = 0;
    let identifiers = 0;
    walk(tree, (node, depth) => {
      kinds[node.type] = (kinds[node.type] ?? 0) + 1;
      deepest = Math.max(deepest, depth);
      if (node.type === "Identifier") identifiers = (Math.imul(identifiers, 31) + node.name.length + node.start) | 0;
      if (node.type === "FunctionDeclaration") {
        functions.push({ name: node.id.name, params: node.params.length, line: node.loc.start.line });
      }
    });
    return { kinds, functions, deepest, identifiers, comments: comments.length, end: tree.loc.end };
  }

  const modern = `
    class Counter { static #made = 0; #n = 0n; static { Counter.#made = 1_000; }
      get n() { return this.#n ?? 0n; } async *each(...rest) { for await (const x of rest) yield x.y ??= x\`\${1}\`; } }
    label: for (const [a, { b = 2 ** 3, ...c }] of new Map) { if (/(?<year>\\d{4})\\p{L}+/u.test(a?.b)) continue label; }
    export default async (x) => { await using y = x; }; export * as all from "module" with { type: "json" };`;
  const broken = [
    "let x = ;",
    "a => { return }}",
    "'open",
    "`${",
    "/(/",
    "let a, a",
    "class { }",
    "0_",
    "await 1",
    "for (;;",
    "\\u{110000}",
  ];

  return {
    lodash: summary(inputs.lodash, { sourceType: "script" }),
    module: summary(inputs.esm, { sourceType: "module" }),
    tree: JSON.parse(
      JSON.stringify(acorn.parse(modern, { ecmaVersion: "latest", sourceType: "module" }), (key, value) =>
        typeof value === "bigint" || value instanceof RegExp ? String(value) : value,
      ),
    ),
    tokens: [...acorn.tokenizer(modern.slice(0, 120), { ecmaVersion: "latest" })].map((token) => [
      token.type.label,
      token.start,
      token.end,
    ]),
    broken: broken.map((text) => {
      try {
        return acorn.parse(text, { ecmaVersion: "latest" }).type;
      } catch (error) {
        return { name: error.name, message: error.message, pos: error.pos, loc: error.loc };
      }
    }),
  };
})();
