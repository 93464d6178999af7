// quickjs-emscripten: a new context per execution. It runs on the thread that calls it, so that several at once need
// worker threads: those of piscina.
import { readFileSync } from "node:fs";
import { Piscina } from "piscina";
import { serve } from "./protocol.mjs";
import { execute, newRuntime, prepareSource } from "./quickjs_context.mjs";

const { version } = JSON.parse(readFileSync(new URL("./node_modules/quickjs-emscripten/package.json", import.meta.url)));

const runtime = newRuntime();

// They stay from round to round.
const pools = new Map();
function poolOf(workers) {
  if (!pools.has(workers)) {
    const filename = new URL("./quickjs_worker.mjs", import.meta.url).href;
    pools.set(workers, new Piscina({ filename, minThreads: workers, maxThreads: workers }));
  }
  return pools.get(workers);
}

await serve(
  {
    contestant: "quickjs-emscripten",
    version,
    engine: "QuickJS in WebAssembly",
    fresh: "context",
    limits: "wall clock by the interrupt handler; memory and stack per runtime",
    lacks: [
      "no JIT",
      "the memory limit is shared by all contexts of the runtime",
      "no CPU limit, no limit on calls or on the size of a result",
      "the interrupt handler is not asked inside native functions",
      "parallel only with worker threads of one's own (here piscina)",
    ],
  },
  async (request) => {
    const source = prepareSource(request);
    if (request.mode !== "concurrent") return { execute: () => execute(runtime, source, request) };
    const pool = poolOf(request.workers);
    const { expect, ...rest } = request;
    const task = { source, request: rest };
    await Promise.all(Array.from({ length: request.workers * 2 }, () => pool.run(task)));
    return { execute: () => pool.run(task) };
  },
);
