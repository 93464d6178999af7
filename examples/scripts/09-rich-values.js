// expect: OK {"firstEgg":{"PAL0708":"2007-11-09T00:00:00.000Z","PAL0809":"2008-11-02T00:00:00.000Z"},"islands":["Torgersen","Biscoe","Dream"],"hash":"5961013907873001352","bytes":"UrnGkP/u74g="}
// Results keep their kinds: Map, Set, Date, BigInt and bytes arrive as such at the host. (JSON shows what is nearest.)
const { rows } = await tools.read_rows({ dataset: "penguins-raw", limit: 100 });

const firstEgg = new Map();
for (const row of rows) {
  const date = new Date(row["Date Egg"]);
  const first = firstEgg.get(row.studyName);
  if (!first || date < first) firstEgg.set(row.studyName, date);
}

// FNV-1a, 64 bits, over the bytes of the text.
let hash = 0xcbf29ce484222325n;
for (const byte of new TextEncoder().encode(JSON.stringify(rows))) {
  hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
}

const bytes = new Uint8Array(8);
new DataView(bytes.buffer).setBigUint64(0, hash);

return { firstEgg, islands: new Set(rows.map((row) => row.Island)), hash, bytes };
