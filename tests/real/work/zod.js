// Parses orders with a large schema, changes them on the way, reports what is wrong, and waits for async rules.
(async () => {
  const line = z.strictObject({
    product: z
      .string()
      .trim()
      .min(5)
      .transform((product) => product.toUpperCase()),
    quantity: z.number().int().min(1).max(8),
    cents: z
      .int()
      .positive()
      .refine((cents) => cents % 100 !== 0, { error: "is a whole sum" }),
  });
  const order = z
    .object({
      id: z.number(),
      customer: z.string().regex(/^[\p{L}-]{3,6}$/u),
      country: z.enum(["DE", "ES", "FR", "JP", "KR"]),
      date: z.iso.date().pipe(z.coerce.date()),
      express: z.boolean().default(false),
      weight: z.number().lt(99),
      note: z
        .string()
        .optional()
        .transform((note) => note || null),
      lines: z.array(line).nonempty().max(3),
    })
    .superRefine((value, context) => {
      if (value.express && value.weight > 50)
        context.addIssue({ code: "custom", path: ["weight"], message: "is too heavy for express" });
    })
    .transform((value) => ({ ...value, total: orderTotal(value) }));

  const shape = z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("circle"), radius: z.number() }),
    z.object({ kind: z.literal("square"), side: z.number() }),
  ]);
  const tree = z.object({
    name: z.string(),
    get children() {
      return z.array(tree).optional();
    },
  });
  const unique = z.string().refine(async (name) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return !["ada", "grace"].includes(name);
  }, "is taken");
  const plain = (result) => (result.success ? { data: result.data } : { issues: result.error.issues });

  return {
    orders: makeOrders(400, 12).map((value) => plain(order.safeParse(value))),
    shapes: [{ kind: "circle", radius: 2 }, { kind: "square", radius: 2 }, { kind: "line" }, null].map((value) =>
      plain(shape.safeParse(value)),
    ),
    trees: [
      { name: "a", children: [{ name: "b", children: [] }] },
      { name: "a", children: [{ children: [1] }] },
    ].map((value) => plain(tree.safeParse(value))),
    names: (await Promise.all(["ada", "alan", "grace", 7].map((name) => unique.safeParseAsync(name)))).map(plain),
    kinds: Object.entries({
      bigint: z.bigint().gt(5n),
      coerced: z.coerce.number(),
      email: z.email(),
      map: z.map(z.string(), z.set(z.number())),
      record: z.record(z.string().length(2), z.number()),
      tuple: z.tuple([z.string(), z.number()]).rest(z.boolean()),
      union: z.union([z.number(), z.string().startsWith("x")]),
      intersection: z.intersection(z.object({ a: z.number() }), z.object({ b: z.string() })),
      caught: z.number().catch(42),
      url: z.url(),
      uuid: z.uuid(),
      nullish: z.string().nullish(),
      preprocessed: z.preprocess((value) => (Array.isArray(value) ? value.length : value), z.number()),
    }).map(([name, schema]) => [
      name,
      ...[
        7n,
        "12",
        "a@b.example",
        new Map([["k", new Set([1, "2"])]]),
        { ab: 1 },
        ["s", 1, true, 0],
        "xyz",
        { a: 1, b: "2" },
        "https://a.example",
        "123e4567-e89b-12d3-a456-426614174000",
        undefined,
      ].map((value) => {
        const result = schema.safeParse(value);
        return result.success
          ? { data: result.data }
          : result.error.issues.map(({ code, path, message }) => [code, path, message]);
      }),
    ]),
    derived: [
      order.safeParse({}).error.issues.length,
      plain(line.partial().safeParse({ quantity: 9 })),
      plain(
        line
          .pick({ cents: true })
          .extend({ tax: z.literal([7, 19]) })
          .safeParse({ cents: 120, tax: 8 }),
      ),
      z.toJSONSchema(z.object({ a: z.string().min(2).nullable(), b: z.array(shape), c: tree })),
      z.treeifyError(order.safeParse({ lines: [{ quantity: 0.5 }] }).error),
      z.prettifyError(shape.safeParse({ kind: 1 }).error),
      z.flattenError(line.safeParse({ extra: 1 }).error),
    ],
  };
})();
