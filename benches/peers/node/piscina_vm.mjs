// node:vm in the worker threads of piscina: `vm.runInNewContext`, as most do it. A tool call goes to the main thread
// and back, through a port of the task's own.
import { readFileSync } from "node:fs";
import { MessageChannel } from "node:worker_threads";
import { Piscina } from "piscina";
import { MEMORY_LIMIT_MB, serve, sourceOf, TIMEOUT_MS, usesTools } from "./protocol.mjs";

const { version } = JSON.parse(readFileSync(new URL("./node_modules/piscina/package.json", import.meta.url)));

// They stay from round to round.
const pools = new Map();
function poolOf(workers) {
  if (!pools.has(workers)) {
    const pool = new Piscina({
      filename: new URL("./piscina_worker.mjs", import.meta.url).href,
      minThreads: workers,
      maxThreads: workers,
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_LIMIT_MB },
    });
    pools.set(workers, pool);
  }
  return pools.get(workers);
}

await serve(
  {
    contestant: "piscina-vm",
    version,
    fresh: "vm context in a worker thread that stays",
    limits: "wall clock by the timeout of node:vm, with tools by piscina's signal; old generation of the worker's heap",
    lacks: [
      "node:vm is no security mechanism by its documentation: a script can reach the worker's Node, and so the host",
      "the memory limit does not cover buffers, and its end is the end of the worker",
      "no CPU limit, no limit on calls or on the size of a result",
      "in the host's process: a crash of V8 ends the host",
    ],
  },
  async (request) => {
    const workers = request.mode === "concurrent" ? request.workers : 1;
    const pool = poolOf(workers);
    const source = sourceOf(request, { sync: false });
    const task = { source, timeout: TIMEOUT_MS, ...("input" in request ? { input: request.input } : {}) };
    const execute = usesTools(request) ? () => runWithTools(pool, task) : () => pool.run(task);
    await Promise.all(Array.from({ length: workers * 2 }, execute));
    return { execute };
  },
);

async function runWithTools(pool, task) {
  const { port1, port2 } = new MessageChannel();
  port1.on("message", ({ id, argument }) => port1.postMessage({ id, value: argument }));
  try {
    return await pool.run(
      { ...task, port: port2 },
      { transferList: [port2], signal: AbortSignal.timeout(TIMEOUT_MS) },
    );
  } finally {
    port1.close();
  }
}
