// expect: SYNTAX_ERROR
// A slip of the pen: the error says where.
const rows = await tools.read_rows({ dataset: "penguins" };
return rows.length;
