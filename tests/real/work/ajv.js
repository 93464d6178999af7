// Compiles schemas with references, formats, a recursive one and a keyword of its own, and validates orders with them.
(() => {
  const ajv = new Ajv({ allErrors: true, coerceTypes: false, useDefaults: true, discriminator: true });
  addFormats(ajv);
  ajv.addKeyword({
    keyword: "totalAtMost",
    type: "object",
    schemaType: "number",
    compile: (most) => (order) => orderTotal(order) <= most,
    error: { message: "costs too much" },
  });
  ajv.addSchema({
    $id: "line.json",
    type: "object",
    properties: {
      product: { type: "string", minLength: 5, maxLength: 13 },
      quantity: { type: "integer", minimum: 1, maximum: 8 },
      cents: { type: "integer", exclusiveMinimum: 50, not: { multipleOf: 100 } },
      currency: { enum: ["EUR", "JPY"], default: "EUR" },
    },
    required: ["product", "quantity", "cents"],
    additionalProperties: false,
  });
  const validateOrder = ajv.compile({
    $id: "order.json",
    type: "object",
    properties: {
      id: { type: "integer" },
      customer: { type: "string", pattern: "^[\\p{L}-]{3,6}$" },
      country: { enum: ["DE", "ES", "FR", "JP", "KR"] },
      date: { type: "string", format: "date", formatMinimum: "2023-03-01" },
      express: { type: "boolean" },
      weight: { type: "number", maximum: 99 },
      note: { type: "string" },
      lines: { type: "array", items: { $ref: "line.json" }, minItems: 1, maxItems: 3 },
    },
    required: ["id", "customer", "country", "date", "lines"],
    if: { properties: { express: { type: "boolean", const: true } } },
    then: { properties: { weight: { type: "number", maximum: 50 } } },
    totalAtMost: 40000,
  });
  const validateTree = ajv.compile({
    type: "object",
    properties: { name: { type: "string" }, children: { type: "array", items: { $ref: "#" } } },
    required: ["name"],
  });
  const validateShape = ajv.compile({
    type: "object",
    discriminator: { propertyName: "kind" },
    required: ["kind"],
    oneOf: [
      { properties: { kind: { const: "circle" }, radius: { type: "number" } }, required: ["radius"] },
      { properties: { kind: { const: "square" }, side: { type: "number" } }, required: ["side"] },
    ],
  });
  const validateFormats = ajv.compile({
    type: "object",
    properties: Object.fromEntries(
      ["date-time", "email", "ipv6", "uri", "uuid", "regex", "duration", "hostname"].map((format) => [
        format,
        { type: "string", format },
      ]),
    ),
  });

  const check = (validate, data) => (validate(data) ? true : validate.errors.map((error) => ({ ...error })));
  const orders = makeOrders(400, 2);
  return {
    orders: orders.map((order) => check(validateOrder, order)),
    filled: orders.slice(0, 5),
    trees: [
      check(validateTree, {
        name: "root",
        children: [{ name: "a" }, { name: "b", children: [{ name: "c", children: [] }] }],
      }),
      check(validateTree, { name: "root", children: [{ name: "a", children: [{ title: "no name" }, 7] }] }),
    ],
    shapes: [{ kind: "circle", radius: 2 }, { kind: "square", radius: 2 }, { kind: "line" }, {}].map((shape) =>
      check(validateShape, shape),
    ),
    formats: [
      check(validateFormats, {
        "date-time": "2024-02-29T23:59:60Z",
        email: "a@b.example",
        ipv6: "::1",
        uri: "https://a.example/?q=1#f",
        uuid: "123e4567-e89b-12d3-a456-426614174000",
        regex: "(a|b)*",
        duration: "P1DT2H",
        hostname: "a.example",
      }),
      check(validateFormats, {
        "date-time": "2023-02-29T00:00:00Z",
        email: "a@",
        ipv6: "1::2::3",
        uri: "not one",
        uuid: "123",
        regex: "(",
        duration: "1D",
        hostname: "-",
      }),
    ],
    badSchema: [ajv.validateSchema({ type: "strange", minimum: "one" }), ajv.errors.map((error) => error.message)],
  };
})();
