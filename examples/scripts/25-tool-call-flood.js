// expect: TOOL_CALL_LIMIT
// Hostile: asks for everything at once, and never waits for an answer.
const calls = [];
for (;;) {
  calls.push(tools.read_rows({ dataset: "penguins-raw" }).catch(() => {}));
}
