// isolated-vm: `context` (a new context per execution, in an isolate per worker) or `isolate` (a new isolate per
// execution).
import { createRequire } from "node:module";
import { MEMORY_LIMIT_MB, serve, sourceOf, TIMEOUT_MS, usesTools, wantsSync } from "./protocol.mjs";

const require = createRequire(import.meta.url);
const ivm = require("isolated-vm");
const fresh = process.argv[2];

// One per worker; they stay from round to round.
const isolates = [];
const newIsolate = () => new ivm.Isolate({ memoryLimit: MEMORY_LIMIT_MB });

// The synchronous functions spare two changes of thread and are the fastest where the caller waits anyway. A script
// that ends in a promise needs the asynchronous ones, and so do several at once.
function executeSync(isolate, source, request) {
  const context = isolate.createContextSync();
  if ("input" in request) context.global.setSync("input", request.input, { copy: true });
  if (usesTools(request)) context.global.setSync("echo", new ivm.Callback((argument) => argument));
  const script = isolate.compileScriptSync(source);
  const result = script.runSync(context, { timeout: TIMEOUT_MS, copy: true, release: true });
  context.release();
  return result;
}

async function execute(isolate, source, request, asynchronousTools) {
  const context = await isolate.createContext();
  if ("input" in request) context.global.setIgnored("input", request.input, { copy: true });
  if (usesTools(request)) {
    if (asynchronousTools) {
      context.global.setIgnored("callTool", new ivm.Callback((_name, argument) => argument, { async: true }));
    } else {
      context.global.setIgnored("echo", new ivm.Callback((argument) => argument));
    }
  }
  const script = await isolate.compileScript(source);
  const result = await script.run(context, {
    timeout: TIMEOUT_MS,
    copy: true,
    promise: asynchronousTools,
    release: true,
  });
  context.release();
  return result;
}

await serve(
  {
    contestant: `isolated-vm-${fresh}`,
    version: require("isolated-vm/package.json").version,
    fresh: fresh === "isolate" ? "isolate" : "context",
    limits: "wall clock per run of a script; heap per isolate",
    lacks: [
      "the memory limit is a guideline by its documentation: 2 to 3 times as much may be used",
      ...(fresh === "context" ? ["the memory limit is shared by all contexts of the isolate"] : []),
      "the timeout does not count what runs after a promise",
      "no CPU limit, no limit on calls or on the size of a result",
      "in the host's process: a crash of V8 ends the host",
    ],
  },
  (request) => {
    const asynchronousTools = usesTools(request) && !wantsSync(request);
    const source = sourceOf(request, { sync: !asynchronousTools });
    const concurrent = request.mode === "concurrent";
    const once = concurrent || asynchronousTools ? execute : executeSync;
    if (fresh === "isolate") {
      // As many as there are workers run at once; the others wait.
      let free = request.workers ?? 1;
      const waiting = [];
      return {
        execute: async () => {
          if (free > 0) free--;
          else await new Promise((resolve) => waiting.push(resolve));
          const isolate = newIsolate();
          try {
            return await once(isolate, source, request, asynchronousTools);
          } finally {
            isolate.dispose();
            const resume = waiting.shift();
            if (resume) resume();
            else free++;
          }
        },
      };
    }
    const workers = concurrent ? request.workers : 1;
    while (isolates.length < workers) isolates.push(newIsolate());
    let turn = 0;
    return { execute: () => once(isolates[turn++ % workers], source, request, asynchronousTools) };
  },
);
