// Compares what the pool made of the scripts with what Node made of them: `node check.js DIR NODE_LINES POOL_LINES`.
// Prints a line for every library and preset, then the counts, and exits 0 only if all are equal.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const libraries = require("./libraries.js");

const [sources, nodeLines, poolLines] = process.argv.slice(2);
const read = (file) =>
  fs
    .readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** The place of the first difference between two values of JSON, the order of keys included; undefined if they are equal. */
function difference(expected, actual, place = "result") {
  if (Object.is(expected, actual)) return undefined;
  if (typeof expected === "string" && typeof actual === "string") {
    let at = 0;
    while (expected[at] === actual[at]) at++;
    return `${place} is ${brief(actual.slice(at))} instead of ${brief(expected.slice(at))} from letter ${at} on`;
  }
  const containers = [expected, actual].every((value) => typeof value === "object" && value !== null);
  if (!containers || Array.isArray(expected) !== Array.isArray(actual)) {
    return `${place} is ${brief(actual)} instead of ${brief(expected)}`;
  }
  const keys = Object.keys(expected);
  const others = Object.keys(actual);
  for (const [i, key] of keys.entries()) {
    if (key !== others[i]) return `${place} has ${brief(others[i])} instead of ${brief(key)} as its key ${i}`;
    const found = difference(expected[key], actual[key], `${place}[${JSON.stringify(key)}]`);
    if (found) return found;
  }
  return others.length > keys.length ? `${place} has ${brief(others[keys.length])} too much` : undefined;
}

function brief(value) {
  const text = Object.is(value, -0) ? "-0" : (JSON.stringify(value) ?? "nothing");
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length})` : text;
}

const ending = ({ status, error }) => (error ? `${status}: ${error.message}` : status);

/** What is wrong with the runs of one script; undefined if nothing is. */
function fault(node, runs, refused) {
  if (!node) return "Node has not run it";
  if (runs.length !== 2) return `the pool has run it ${runs.length} times instead of twice`;
  if (runs[0].worker_id !== runs[1].worker_id) return "the two runs were not on one worker";
  if (refused) {
    const other = [node, ...runs].find((run) => run.status !== "EXCEPTION" || run.error.name !== "EvalError");
    return other && `is not refused with an EvalError, but ends in ${ending(other)}`;
  }
  if (node.status !== "OK") return `Node itself ends in ${ending(node)}`;
  for (const [i, run] of runs.entries()) {
    if (run.status !== "OK")
      return `run ${i + 1} ends in ${ending(run)}${run.error.stack ? `\n${run.error.stack}` : ""}`;
    const found = difference(node.value, run.value);
    if (found) return `run ${i + 1} differs: ${found}`;
  }
}

/** The version of the package that a library's first file is from. */
function version({ scripts, bundle }) {
  const [first, second] = (scripts ?? Object.values(bundle))[0].split("/");
  const folder = first.startsWith("@") ? `${first}/${second}` : first;
  return JSON.parse(fs.readFileSync(path.join(__dirname, "node_modules", folder, "package.json"), "utf8")).version;
}

const milliseconds = (time) => `${Math.round(time / 1e6)} ms`;
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

const columns = [6, 22, 12, 10, 10, 10, 20, 10, 10];
const row = (cells) =>
  cells
    .map((cell, i) => String(cell ?? "").padEnd(columns[i]))
    .join("")
    .trimEnd();
console.log(row(["", "library", "preset", "source", "result", "Node", "pool (twice)", "CPU", "memory"]));

const nodeRuns = read(nodeLines);
const poolRuns = read(poolLines);
const counts = { passed: 0, failed: 0 };
for (const [name, library] of Object.entries(libraries)) {
  const file = path.join(sources, `${name}.js`);
  for (const preset of [...library.presets, ...(library.refused ?? [])]) {
    const isThis = (run) => run.file === file && run.preset === preset;
    const node = nodeRuns.find(isThis);
    const runs = poolRuns.filter(isThis);
    const refused = library.refused?.includes(preset) ?? false;
    const wrong = fault(node, runs, refused);
    counts[wrong ? "failed" : "passed"]++;
    console.log(
      row([
        wrong ? "FAIL" : "ok",
        `${name} ${version(library)}`,
        preset,
        size(fs.statSync(file).size),
        refused ? "EvalError" : size(JSON.stringify(node?.value ?? null).length),
        node && milliseconds(node.run_time_ns),
        runs.map((run) => milliseconds(run.run_time_ns)).join(", "),
        runs[0] && milliseconds(runs[0].cpu_time_ns),
        runs[0] && size(Math.max(...runs.map((run) => run.peak_memory))),
      ]),
    );
    if (wrong) console.log(`      ${wrong.replaceAll("\n", "\n      ")}`);
  }
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
