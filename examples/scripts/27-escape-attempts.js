// expect: OK {"escaped":false,"reachable":[]}
// Hostile: looks for a way out, to the host, its modules, files and network, or into the library's own objects.
// Whatever it gets hold of is named in the result.
const OUTSIDE = [
  // Node, Deno, Bun
  "process", "require", "module", "exports", "Buffer", "global", "Deno", "Bun", "__dirname", "setImmediate",
  // Browsers
  "window", "self", "document", "navigator", "fetch", "XMLHttpRequest", "WebSocket", "Worker", "indexedDB",
  // Shells of SpiderMonkey and QuickJS
  "load", "read", "print", "quit", "os", "std", "scriptArgs", "newGlobal", "Components", "evalInWorker", "gc",
  // Ways to native code and exact clocks
  "WebAssembly", "SharedArrayBuffer", "Atomics", "performance",
];

const globals = new Set();
const reachable = new Set();

function inspect(global) {
  if (global === null || (typeof global !== "object" && typeof global !== "function")) return;
  globals.add(global);
  for (const name of OUTSIDE) {
    if (name in global) reachable.add(name);
  }
}

async function attempt(name, action) {
  try {
    const found = await action();
    if (found === true) reachable.add(name);
    else inspect(found);
  } catch {
    // Refused: as it should be.
  }
}

inspect(globalThis);

// Code from strings, through every constructor that makes functions. Where the pool allows it, it must still see
// this global and no other.
const makers = [
  Function,
  (async () => {}).constructor,
  function* () {}.constructor,
  (async function* () {}).constructor,
];
for (const [i, maker] of makers.entries()) {
  await attempt(`maker ${i}`, async () => {
    const made = maker("return globalThis")();
    const global = await (made.next ? made.next() : made);
    return (global.value ?? global) !== globalThis;
  });
}
await attempt("eval", () => (0, eval)("this") !== globalThis);
const soon = new Promise((resolve) => setTimeout(resolve, 20));
await attempt("import", () => Promise.race([import("fs").then(() => true), soon]));

// The constructors behind what the host has put here: they must be this global's own.
const fromHost = { callTool, tools, list: tools.list_datasets, console, log: console.log, setTimeout };
const answer = await tools.list_datasets();
const failure = await tools.lookup({}).catch((error) => error);
const promise = tools.list_datasets();
await promise;
for (const [name, object] of Object.entries({ ...fromHost, answer, failure, promise })) {
  await attempt(`realm of ${name}`, () => {
    for (let o = object; o !== null; o = Object.getPrototypeOf(o)) {
      if (typeof o === "object" && Object.getPrototypeOf(o) === null) return o !== Object.prototype;
    }
  });
  await attempt(`Function of ${name}`, () => {
    const make = object.constructor.constructor;
    return make !== Function || make("return globalThis")() !== globalThis;
  });
}
await attempt("tools can be changed", () => {
  tools.list_datasets = () => [];
  return tools.list_datasets.name === "";
});
await attempt("answers of tools are shared", async () => {
  answer.length = 0;
  return (await tools.list_datasets()).length === 0;
});

// What errors say about the machine.
await attempt("stack shows the host", () => /\.(rs|c|h|so)\b|\/(home|usr|work|root)\//.test(new Error("x").stack));
await attempt("error of a tool shows the host", () => /\.(rs|c|h|so)\b/.test(String(failure.stack)));

// Poisoned prototypes must not reach what the host makes of the result.
Object.prototype.toJSON = () => "poisoned";
Array.prototype.toJSON = () => "poisoned";
Object.prototype.then = undefined;

return { escaped: reachable.size > 0 || globals.size > 1, reachable: [...reachable] };
