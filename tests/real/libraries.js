// The libraries, and of which files of their packages a script is made that defines each as a global.
//
//   scripts  browser builds that are scripts already: loaded as they are, in this order
//   bundle   for packages of modules only: modules and the global that holds each one's exports; esbuild joins their files
//   before   a line that the script starts with, for what a library expects around it
//   inputs   real text for the work, by name; it finds them in the global `inputs`
//   presets  where it runs and its results must be those of Node
//   refused  presets under which it ends in an EvalError, as it makes code from strings
//
// What the library then does is in work/<name>.js, whose completion value is the result.
"use strict";

module.exports = {
  acorn: {
    scripts: ["acorn/dist/acorn.js"],
    inputs: { lodash: "lodash/lodash.js", esm: "immutable/dist/immutable.es.js" },
    presets: ["secure"],
  },
  // Writes a function for each schema.
  ajv: {
    bundle: { Ajv: "ajv", addFormats: "ajv-formats" },
    presets: ["permissive"],
    refused: ["secure"],
  },
  "d3-array": {
    scripts: ["d3-array/dist/d3-array.js"],
    presets: ["secure", "strict"],
  },
  dayjs: {
    scripts: [
      "dayjs/dayjs.min.js",
      "dayjs/plugin/advancedFormat.js",
      "dayjs/plugin/customParseFormat.js",
      "dayjs/plugin/duration.js",
      "dayjs/plugin/isoWeek.js",
      "dayjs/plugin/minMax.js",
      "dayjs/plugin/relativeTime.js",
      "dayjs/plugin/utc.js",
      "dayjs/locale/de.js",
      "dayjs/locale/ja.js",
    ],
    presets: ["secure", "strict"],
  },
  decimal: {
    scripts: ["decimal.js/decimal.js"],
    presets: ["secure"],
  },
  fflate: {
    scripts: ["fflate/umd/index.js"],
    inputs: { changelog: "dayjs/CHANGELOG.md", script: "papaparse/papaparse.min.js" },
    presets: ["secure"],
  },
  // Writes a function for each template.
  handlebars: {
    scripts: ["handlebars/dist/handlebars.js"],
    presets: ["permissive"],
    refused: ["secure"],
  },
  immutable: {
    scripts: ["immutable/dist/immutable.js"],
    presets: ["secure"],
  },
  lodash: {
    scripts: ["lodash/lodash.js"],
    // Without it lodash asks `Function("return this")()` for the global.
    before: "var self = globalThis;",
    presets: ["secure", "permissive"],
  },
  marked: {
    scripts: ["marked/lib/marked.umd.js"],
    inputs: {
      acorn: "acorn/README.md",
      d3: "d3-array/README.md",
      decimal: "decimal.js/README.md",
      fflate: "fflate/README.md",
      zod: "zod/README.md",
    },
    presets: ["secure"],
  },
  "noble-hashes": {
    bundle: {
      blake2: "@noble/hashes/blake2.js",
      blake3: "@noble/hashes/blake3.js",
      hkdf: "@noble/hashes/hkdf.js",
      hmac: "@noble/hashes/hmac.js",
      legacy: "@noble/hashes/legacy.js",
      scrypt: "@noble/hashes/scrypt.js",
      sha2: "@noble/hashes/sha2.js",
      sha3: "@noble/hashes/sha3.js",
      utils: "@noble/hashes/utils.js",
    },
    presets: ["secure"],
  },
  papaparse: {
    scripts: ["papaparse/papaparse.js"],
    presets: ["secure"],
  },
  // Its nine megabytes are more than one message of `secure` may hold.
  typescript: {
    scripts: ["typescript/lib/typescript.js"],
    inputs: Object.fromEntries(
      [
        "lib.decorators.d.ts",
        "lib.decorators.legacy.d.ts",
        "lib.es5.d.ts",
        "lib.es2015.core.d.ts",
        "lib.es2015.collection.d.ts",
        "lib.es2015.generator.d.ts",
        "lib.es2015.iterable.d.ts",
        "lib.es2015.promise.d.ts",
        "lib.es2015.symbol.d.ts",
        "lib.es2015.symbol.wellknown.d.ts",
      ].map((file) => [file, `typescript/lib/${file}`]),
    ),
    presets: ["permissive"],
  },
  // Probes whether it may write functions, and does without where it may not.
  zod: {
    bundle: { z: "zod" },
    presets: ["secure", "permissive"],
  },
};
