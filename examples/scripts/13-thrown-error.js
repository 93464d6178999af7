// expect: EXCEPTION BudgetError E_BUDGET
// An error that nobody catches: its name, message and code reach the host, with line and stack.
class BudgetError extends Error {
  name = "BudgetError";
  code = "E_BUDGET";
}

const datasets = await tools.list_datasets();
const cells = datasets.reduce((sum, { rows, columns }) => sum + rows * columns.length, 0);
if (cells > 1000) {
  throw new BudgetError(`${cells} cells are more than this analysis may read`);
}
return cells;
