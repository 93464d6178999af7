// Compiles templates with blocks, partials, helpers, paths and white-space control, and renders orders with them.
(() => {
  const engine = Handlebars.create();
  engine.registerHelper("money", (cents) => `${(cents / 100).toFixed(2)} €`);
  engine.registerHelper("total", orderTotal);
  engine.registerHelper("strong", (text) => new engine.SafeString(`<strong>${engine.escapeExpression(text)}</strong>`));
  engine.registerHelper("times", function (count, options) {
    let out = "";
    for (let i = 0; i < count; i++) out += options.fn(this, { data: { ...options.data, round: i }, blockParams: [i] });
    return out || options.inverse(this);
  });
  engine.registerHelper("equal", (a, b) => a === b);
  engine.registerPartial("line", "{{pad}}{{quantity}} x {{{product}}} at {{money cents}}\n");
  engine.registerPartial("layout", '<main title="{{title}}">{{> @partial-block}}</main>');

  const invoice = engine.compile(
    `{{#> layout title=customer}}
{{~#each orders as |order index|}}
  {{#if order.express}}EXPRESS {{else if (equal order.country "DE")}}inland {{else}}normal {{/if}}#{{order.id}} ({{@index}}{{#if @first}}, first{{/if}}{{#if @last}}, last{{/if}})
  {{#each order.lines}}{{> line pad="    " }}{{else}}nothing{{/each}}
  {{#with order}}{{strong note}} {{../customer}}: {{money (total this)}}{{/with}}
  {{~! a comment that is not in the result }}
{{/each}}
{{/layout}}`,
    { preventIndent: true },
  );
  const small = {
    "{{a}} {{{a}}} {{&a}}": { a: "<b>\"'`=&" },
    "{{a.b.[c d]}} {{lookup list 1}} {{list.[0]}} {{list.length}}": { a: { b: { "c d": 7 } }, list: ["x", "y"] },
    "{{#each map}}{{@key}}={{this}};{{/each}}": { map: { one: 1, two: null, three: false } },
    "{{#unless no}}yes{{^}}no{{/unless}} \\{{raw}} {{{{raw}}}} {{not}} {{{{/raw}}}}": {},
    "{{#times 3 as |n|}}{{n}}{{@round}} {{^}}none{{/times}}{{#times 0}}x{{else}}none{{/times}}": {},
    "{{#list}}{{.}},{{/list}}{{^missing}}empty{{/missing}}{{#object}}{{name}}{{/object}}": {
      list: [1, 2],
      object: { name: "n" },
    },
    '{{#*inline "item"}}[{{name}}]{{/inline}}{{#each list}}{{> item}}{{/each}}': { list: [{ name: 1 }, { name: 2 }] },
    "a  {{~a~}}  b\n\n{{#if a}}\n  c\n{{/if}}\nd": { a: 1 },
    "{{constructor.name}}|{{__proto__.x}}|{{toString}}": { own: 1 },
  };
  engine.registerHelper("raw", (options) => options.fn());

  const byCustomer = new Map();
  for (const order of makeOrders(300, 7)) {
    byCustomer.set(order.customer, [...(byCustomer.get(order.customer) ?? []), order]);
  }
  const attempt = (template, data, options) => {
    try {
      return engine.compile(template, options)(data);
    } catch (error) {
      // Not its `lineNumber`: every error of SpiderMonkey has one.
      return { name: error.name, message: error.message, column: error.column, line: error.endLineNumber };
    }
  };
  return {
    invoices: [...byCustomer].map(([customer, orders]) => invoice({ customer, orders })),
    small: Object.entries(small).map(([template, data]) => attempt(template, data)),
    options: [
      attempt("{{a}}", { a: "<&>" }, { noEscape: true }),
      attempt("{{a.b}}", {}, { strict: true }),
      attempt("{{known 1}}", {}, { knownHelpers: {}, knownHelpersOnly: true }),
    ],
    broken: ["{{#if a}}", "{{/if}}", "{{a", "{{> nowhere}}", "{{#each}}{{/each}}", "{{missing 1}}", "{{#a}}{{/b}}"].map(
      (template) => attempt(template, {}),
    ),
    tree: JSON.parse(JSON.stringify(engine.parse("Hello {{#if (a b c=1)}}{{x.y}}{{else}}{{{z}}}{{/if}}"))),
    code: engine.precompile("{{#each list}}{{money this}}{{/each}}", { knownHelpers: { money: true } }),
  };
})();
