// quickjs-emscripten: a new context per execution. It runs on the thread that calls it, so that several at once need
// worker threads: those of piscina.
import { readFileSync } from "node:fs";
import { Piscina } from "piscina";
import { serve } from "./protocol.mjs";
import { execute, newRuntime, prepareSource } from "./quickjs_context.mjs";

const { version } = JSON.parse(readFileSync(new URL("./node_modules/quickjs-emscripten/package.json", import.meta.url)));

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
    if (request.mode !== "concurrent") {
      const runtime = newRuntime();
      return { execute: () => execute(runtime, source, request), close: () => runtime.dispose() };
    }
    const pool = new Piscina({
      filename: new URL("./quickjs_worker.mjs", import.meta.url).href,
      minThreads: request.workers,
      maxThreads: request.workers,
    });
    const { input, ...rest } = request;
    const task = { source, request: { ...rest, expect: undefined, ...("input" in request ? { input } : {}) } };
    await Promise.all(Array.from({ length: request.workers * 4 }, () => pool.run(task)));
    return { execute: () => pool.run(task), close: () => pool.destroy() };
  },
);
