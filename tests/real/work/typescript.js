// Type-checks a program against the standard library's declarations, and turns it into JavaScript of two ages.
(() => {
  const files = {
    "/shop.ts": `
export interface Line { readonly product: string; quantity: number; cents: number }
export type Order = { id: number; lines: Line[]; note?: string };
export enum Country { DE = "DE", JP = "JP", Count = 2 }
type Keys<T, V> = { [K in keyof T]: T[K] extends V ? K : never }[keyof T];
type Path<T extends string> = T extends \`\${infer Head}.\${infer Tail}\` ? [Head, ...Path<Tail>] : [T];
export const path = <T extends string>(text: T) => text.split(".") as Path<T>;
export abstract class Store<T extends { id: number }> {
  #items = new Map<number, T>();
  constructor(protected readonly name: string, private limit = 10) {}
  add(...items: T[]): this { for (const item of items) this.#items.set(item.id, item); return this; }
  *each(): Generator<T, void> { yield* this.#items.values(); }
  abstract total(item: T): number;
  async sum(): Promise<number> { let sum = 0; for (const item of this.each()) sum += await this.total(item); return sum ?? this.limit; }
}
export function pick<T, K extends Keys<T, number>>(value: T, key: K): T[K] { return value[key]; }
export namespace money { export const format = (cents: number): string => \`\${(cents / 100).toFixed(2)} €\`; }`,
    "/main.ts": `
import { Store, Country, money, path, pick, type Order } from "./shop";
class Orders extends Store<Order> {
  override total({ lines }: Order) { return lines.reduce((sum, { quantity, cents }) => sum + quantity * cents, 0); }
}
const orders = new Orders("all").add({ id: 1, lines: [{ product: "tea", quantity: 2, cents: 199 }] });
export const result = orders.sum().then(money.format);
const [shop, ...rest] = path("shop.order.line");
const exact: ["order", "line"] = rest;
export { shop, exact };
const wrong: number = pick({ a: 1, b: "x" }, "b");
orders.add({ id: "2", lines: [] });
orders.name;
let country: Country = "DE";
function choose(value: string | number | null) { if (typeof value === "string") return value.length; return value.toFixed(); }
const unused = rest.map((part) => part.missing?.());
switch (1 as 1 | 2) { case 3: break; }
await result;`,
  };
  const library = (name) => inputs[name.slice(1)];
  const text = (name) => files[name] ?? library(name);

  function check(target) {
    const options = {
      target,
      module: ts.ModuleKind.ES2022,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      strict: true,
      noUnusedLocals: true,
      declaration: true,
      noLib: true,
      types: [],
    };
    const outputs = {};
    const host = {
      fileExists: (name) => text(name) !== undefined,
      readFile: text,
      getSourceFile: (name, languageVersion) =>
        text(name) === undefined ? undefined : ts.createSourceFile(name, text(name), languageVersion, true),
      getDefaultLibFileName: () => "/lib.es5.d.ts",
      getCurrentDirectory: () => "/",
      getCanonicalFileName: (name) => name,
      useCaseSensitiveFileNames: () => true,
      getNewLine: () => "\n",
      writeFile: (name, contents) => (outputs[name] = contents),
    };
    const program = ts.createProgram([...Object.keys(inputs).map((name) => `/${name}`), "/main.ts"], options, host);
    program.emit();
    const checker = program.getTypeChecker();
    const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile("/main.ts")));
    return {
      diagnostics: ts.getPreEmitDiagnostics(program).map((found) => ({
        at: found.file && `${found.file.fileName}:${found.start}+${found.length}`,
        code: found.code,
        message: ts.flattenDiagnosticMessageText(found.messageText, "\n"),
      })),
      types: exported.map((symbol) => [symbol.name, checker.typeToString(checker.getTypeOfSymbol(symbol))]),
      outputs,
      counts: [program.getNodeCount(), program.getIdentifierCount(), program.getSymbolCount(), program.getTypeCount()],
    };
  }

  const kinds = {};
  (function count(node) {
    kinds[ts.SyntaxKind[node.kind]] = (kinds[ts.SyntaxKind[node.kind]] ?? 0) + 1;
    ts.forEachChild(node, count);
  })(ts.createSourceFile("lib.ts", inputs["lib.es5.d.ts"], ts.ScriptTarget.Latest, true));

  return {
    version: ts.version,
    modern: check(ts.ScriptTarget.ES2022),
    old: check(ts.ScriptTarget.ES5),
    single: ts.transpileModule("const a = <T,>(x: T) => <b c={x!}>{...d}</b>; export = a satisfies unknown;", {
      compilerOptions: { jsx: ts.JsxEmit.React, module: ts.ModuleKind.CommonJS, sourceMap: true },
      fileName: "view.tsx",
      reportDiagnostics: true,
    }).outputText,
    kinds,
  };
})();
