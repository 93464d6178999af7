// Permutations of small arrays, reversed in place: integers and array elements.
function fannkuch(n) {
  const perm = new Array(n), count = new Array(n), perm1 = new Array(n);
  for (let i = 0; i < n; i++) perm1[i] = i;
  let flipsMost = 0, checksum = 0, r = n, number = 0;
  for (;;) {
    while (r !== 1) { count[r - 1] = r; r--; }
    for (let i = 0; i < n; i++) perm[i] = perm1[i];
    let flips = 0, k;
    while ((k = perm[0]) !== 0) {
      const half = (k + 1) >> 1;
      for (let i = 0; i < half; i++) { const t = perm[i]; perm[i] = perm[k - i]; perm[k - i] = t; }
      flips++;
    }
    if (flips > flipsMost) flipsMost = flips;
    checksum += number % 2 === 0 ? flips : -flips;
    for (;;) {
      if (r === n) return [checksum, flipsMost];
      const first = perm1[0];
      for (let i = 0; i < r; i++) perm1[i] = perm1[i + 1];
      perm1[r] = first;
      count[r]--;
      if (count[r] > 0) break;
      r++;
    }
    number++;
  }
}
fannkuch(9);
