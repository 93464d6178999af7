// The side of a contestant: one line of JSON in, one out. See benches/README.md for the protocol.
import { isDeepStrictEqual } from "node:util";
import { createInterface } from "node:readline";

export const TIMEOUT_MS = 5000;
export const MEMORY_LIMIT_MB = 128;

/** What this contestant cannot do; its message is the answer. */
export class Unsupported extends Error {}

export const usesTools = (request) => request.workload.startsWith("tools");

/**
 * Whether the tool of this workload is to be a function that gives its result at once, where a contestant has both.
 * Many calls at once are the exception: those wait for promises.
 */
export const wantsSync = (request) => request.workload !== "tools_100_concurrent";

/** The source for synchronous host functions (`echo(x)`), or for asynchronous ones (`await callTool("echo", x)`). */
export function sourceOf(request, { sync }) {
  if (!usesTools(request)) return request.source;
  if (sync) return request.peer_source;
  const body = /\breturn\b/.test(request.source) ? request.source : `return (${request.source})`;
  return `(async () => {${body}\n})()`;
}

/**
 * Answers requests until standard input ends. `prepare(request)` gives what the round needs: `execute`, which gives
 * the result of one execution or a promise of it, and perhaps `close`.
 */
export async function serve(greeting, prepare) {
  console.log(JSON.stringify({ ...greeting, engine: greeting.engine ?? `V8 ${process.versions.v8}` }));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line), prepare)));
  }
  process.exit(0);
}

async function answer(request, prepare) {
  if (request.op !== "run") return { unsupported: `no ${request.op} here` };
  let round;
  try {
    round = await prepare(request);
    return await measure(request, round.execute);
  } catch (error) {
    if (error instanceof Unsupported) return { unsupported: error.message };
    return { error: String(error?.stack ?? error) };
  } finally {
    await round?.close?.();
  }
}

async function measure({ mode, count, in_flight, expect }, execute) {
  const times = new Float64Array(count);
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const number = next++;
      const start = performance.now();
      const pending = execute();
      const result = pending instanceof Promise ? await pending : pending;
      times[number] = (performance.now() - start) * 1000;
      if ((number === 0 || number === count - 1) && !isDeepStrictEqual(result, expect)) {
        throw new Error(`the result is ${JSON.stringify(result)?.slice(0, 200)}`);
      }
    }
  };
  const start = performance.now();
  if (mode === "concurrent") await Promise.all(Array.from({ length: Math.min(in_flight, count) }, lane));
  else await lane();
  const seconds = (performance.now() - start) / 1000;
  times.sort();
  const percentile = (part) => times[Math.min(count - 1, Math.floor(count * part))];
  return {
    seconds,
    count,
    p10_us: percentile(0.1),
    p50_us: percentile(0.5),
    p99_us: percentile(0.99),
    max_us: times[count - 1],
  };
}
