// expect: EXCEPTION RangeError E_BUDGET
// An error that nobody catches: its name, message and code reach the host, with line and stack.
const MAX_CELLS = 1000;

const datasets = await tools.list_datasets();
const cells = datasets.reduce((sum, { rows, columns }) => sum + rows * columns.length, 0);
if (cells > MAX_CELLS) {
  const error = new RangeError(`${cells} cells are more than this analysis may read`);
  throw Object.assign(error, { code: "E_BUDGET" });
}
return cells;
