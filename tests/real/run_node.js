// Runs scripts in Node as `run_real` runs them in the pool: `node run_node.js PRESET FILE...` prints a line of JSON for
// each. A script sees a fresh global with what the pool's have beyond ECMAScript, and nothing of Node.
"use strict";

const fs = require("node:fs");
const { performance } = require("node:perf_hooks");
const { types } = require("node:util");
const vm = require("node:vm");

/** A value as JSON, as `enclave_value_to_json` documents it. */
function toJson(value) {
  if (value === null || ["undefined", "function", "symbol"].includes(typeof value)) return "null";
  if (typeof value === "bigint") return `"${value}"`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object") return JSON.stringify(value);
  if (types.isDate(value)) return JSON.stringify(value);
  if (types.isAnyArrayBuffer(value)) return JSON.stringify(Buffer.from(value).toString("base64"));
  if (ArrayBuffer.isView(value)) {
    return JSON.stringify(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64"));
  }
  if (types.isMap(value)) {
    const entries = [...value];
    return entries.every(([key]) => typeof key === "string") ? object(entries) : toJson(entries);
  }
  // Array.from also reaches the holes of an array.
  if (Array.isArray(value) || types.isSet(value)) return `[${Array.from(value, toJson).join(",")}]`;
  if (types.isNativeError(value))
    return object([
      ["name", value.name],
      ["message", value.message],
    ]);
  return object(Object.entries(value).filter(([, item]) => !["function", "symbol"].includes(typeof item)));
}

function object(entries) {
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${toJson(value)}`).join(",")}}`;
}

/** Takes what libraries warn of: the pool hands it to nobody here either. */
const silent = Object.fromEntries(Object.keys(console).map((level) => [level, () => {}]));

/** A global as the pool's are. */
function makeContext(allowsCodeGeneration) {
  const context = vm.createContext(
    {
      atob,
      btoa,
      clearTimeout,
      console: silent,
      queueMicrotask,
      setTimeout,
      structuredClone,
      TextDecoder,
      TextEncoder,
    },
    { codeGeneration: { strings: allowsCodeGeneration, wasm: false } },
  );
  vm.runInContext(
    "delete globalThis.Atomics; delete globalThis.SharedArrayBuffer; delete globalThis.WebAssembly;",
    context,
  );
  return context;
}

async function run(preset, file) {
  const source = fs.readFileSync(file, "utf8");
  const start = performance.now();
  let outcome;
  try {
    const value = await vm.runInContext(source, makeContext(preset === "permissive"), { filename: file });
    outcome = `"status":"OK","value":${toJson(value)}`;
  } catch (error) {
    outcome = `"status":"EXCEPTION","error":${object([
      ["name", error.name],
      ["message", String(error)],
    ])}`;
  }
  const time = Math.round((performance.now() - start) * 1e6);
  console.log(`{"file":${JSON.stringify(file)},"preset":"${preset}","run_time_ns":${time},${outcome}}`);
}

(async () => {
  const [preset, ...files] = process.argv.slice(2);
  for (const file of files) await run(preset, file);
})();
