// Packs and unpacks text and bytes in three formats at several levels, whole and in chunks, and makes a zip archive.
(() => {
  const next = randomNumbers(6);
  const noise = Uint8Array.from({ length: 60000 }, () => Math.floor(next() * 256));
  const runs = new Uint8Array(400000).map((_, i) => (i >> 10) & 7);
  const samples = {
    changelog: fflate.strToU8(inputs.changelog),
    script: fflate.strToU8(inputs.script),
    orders: fflate.strToU8(JSON.stringify(makeOrders(400, 6))),
    noise,
    runs,
    empty: new Uint8Array(0),
  };

  /** A number that differs where the bytes do (FNV-1a). */
  const hash = (bytes) => bytes.reduce((sum, byte) => Math.imul(sum ^ byte, 16777619), 2166136261) >>> 0;
  const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

  const packed = Object.entries(samples).map(([name, bytes]) => {
    const levels = [0, 1, 6, 9].map((level) => fflate.zlibSync(bytes, { level }));
    const gzip = fflate.gzipSync(bytes, { mtime: 0, filename: `${name}.bin` });
    return {
      name,
      size: bytes.length,
      packed: levels.map((level) => [level.length, hash(level)]),
      same: levels.every((level) => equal(fflate.unzlibSync(level), bytes)) && equal(fflate.gunzipSync(gzip), bytes),
      raw: equal(
        fflate.inflateSync(fflate.deflateSync(bytes, { mem: 4 }), { out: new Uint8Array(bytes.length) }),
        bytes,
      ),
      gzip: hash(gzip),
    };
  });

  const chunks = [];
  const stream = new fflate.Deflate({ level: 9 }, (chunk, final) => chunks.push([chunk, final]));
  for (let at = 0; at < samples.changelog.length; at += 7777) stream.push(samples.changelog.subarray(at, at + 7777));
  stream.push(new Uint8Array(0), true);
  let text = "";
  const decoder = new fflate.DecodeUTF8((part) => (text += part));
  const inflate = new fflate.Inflate((chunk, final) => decoder.push(chunk, final));
  chunks.forEach(([chunk, final]) => inflate.push(chunk, final));

  const mtime = new Date(2024, 1, 29, 12, 34, 56);
  const archive = fflate.zipSync(
    {
      "read me.txt": fflate.strToU8("Grüße 🐉"),
      data: { "orders.json": samples.orders, "noise.bin": [noise, { level: 0 }] },
    },
    { mtime, comment: "made by a test" },
  );
  const entries = fflate.unzipSync(archive, { filter: (file) => file.size < 100000 });

  return {
    packed,
    stream: {
      chunks: chunks.map(([chunk, final]) => [chunk.length, hash(chunk), final]),
      same: text === inputs.changelog,
    },
    archive: { size: archive.length, hash: hash(archive), head: archive.slice(0, 64) },
    entries: Object.entries(entries).map(([name, bytes]) => [name, bytes.length, hash(bytes)]),
    text: fflate.strFromU8(entries["read me.txt"]),
    broken: [
      [1, 2, 3],
      [0x78, 0x9c, 0xff],
      [0x1f, 0x8b, 8, 0],
    ].map((bytes) => {
      try {
        return fflate.decompressSync(Uint8Array.from(bytes));
      } catch (error) {
        return { message: error.message, code: error.code };
      }
    }),
  };
})();
