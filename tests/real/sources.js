// Writes the scripts that Node and the pool both run: `node sources.js DIR` makes DIR/<name>.js for every library, and
// DIR/<preset>.files with the scripts to run under each preset.
"use strict";

const { buildSync } = require("esbuild");
const fs = require("node:fs");
const path = require("node:path");
const libraries = require("./libraries.js");

const packages = path.join(__dirname, "node_modules");
const read = (file) => fs.readFileSync(file, "utf8");

/** The modules of `globals` and what they need as one script; their code stays as it is. */
function bundle(globals) {
  const lines = Object.entries(globals).map(([name, module]) => {
    // Where a module has a default export, that is the library; else its exports are.
    return `import * as ${name} from ${JSON.stringify(module)}; globalThis.${name} = ${name}.default ?? ${name};`;
  });
  const built = buildSync({
    stdin: { contents: lines.join("\n"), resolveDir: __dirname },
    bundle: true,
    format: "iife",
    // As written: nothing newer is rewritten to something older.
    target: "esnext",
    write: false,
    logLevel: "error",
  });
  return built.outputFiles[0].text;
}

function source(name, library) {
  const scripts = (library.scripts ?? []).map((script) => read(path.join(packages, script)));
  const inputs = Object.entries(library.inputs ?? {}).map(([input, file]) => [input, read(path.join(packages, file))]);
  return [
    library.before ?? "",
    ...scripts,
    library.bundle ? bundle(library.bundle) : "",
    `const inputs = ${JSON.stringify(Object.fromEntries(inputs))}`,
    read(path.join(__dirname, "data.js")),
    read(path.join(__dirname, "work", `${name}.js`)),
  ].join("\n;\n");
}

const out = process.argv[2];
fs.mkdirSync(out, { recursive: true });
for (const [name, library] of Object.entries(libraries)) {
  const file = path.join(out, `${name}.js`);
  fs.writeFileSync(file, source(name, library));
  for (const preset of [...library.presets, ...(library.refused ?? [])]) {
    fs.appendFileSync(path.join(out, `${preset}.files`), `${file}\n`);
  }
}
