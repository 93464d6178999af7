// The spectral norm of a matrix: floating point in typed arrays, and calls.
const a = (i, j) => 1 / (((i + j) * (i + j + 1)) / 2 + i + 1);
function times(v, out) {
  for (let i = 0; i < v.length; i++) {
    let sum = 0;
    for (let j = 0; j < v.length; j++) sum += a(i, j) * v[j];
    out[i] = sum;
  }
}
function transposedTimes(v, out) {
  for (let i = 0; i < v.length; i++) {
    let sum = 0;
    for (let j = 0; j < v.length; j++) sum += a(j, i) * v[j];
    out[i] = sum;
  }
}
const n = 350;
const u = new Float64Array(n).fill(1), v = new Float64Array(n), w = new Float64Array(n);
for (let i = 0; i < 10; i++) {
  times(u, w); transposedTimes(w, v);
  times(v, w); transposedTimes(w, u);
}
let uv = 0, vv = 0;
for (let i = 0; i < n; i++) { uv += u[i] * v[i]; vv += v[i] * v[i]; }
Math.sqrt(uv / vv).toFixed(9);
