// expect: MEMORY_LIMIT
// Hostile: takes all memory, and catches the error to go on.
const hoard = [];
for (;;) {
  try {
    hoard.push(new Uint8Array(1 << 20).fill(1));
  } catch {
    hoard.push(null);
  }
}
