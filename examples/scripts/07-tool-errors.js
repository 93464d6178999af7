// expect: OK {"found":315.7,"failures":["NO_DATASET","NO_COLUMN","NOT_FOUND","BAD_ARGUMENT"],"fallback":"global-temp"}
// Tools fail, and scripts live with it: an error has a name, a message and a code.
const attempts = await Promise.allSettled([
  tools.lookup({ dataset: "../../etc/passwd", column: "user", value: "root" }),
  tools.lookup({ dataset: "penguins", column: "height", value: 1 }),
  tools.lookup({ dataset: "penguins", column: "species", value: "Emperor" }),
  tools.read_rows({ dataset: "penguins", limit: 1e9 }),
]);

async function firstThatExists(...names) {
  for (const dataset of names) {
    try {
      await tools.read_rows({ dataset, limit: 1 });
      return dataset;
    } catch (error) {
      if (error.code !== "NO_DATASET") throw error;
    }
  }
}

return {
  found: (await tools.lookup({ dataset: "co2-concentration", column: "Date", value: "1958-03-01" })).CO2,
  failures: attempts.map((attempt) => attempt.reason?.code),
  fallback: await firstThatExists("global-temperature", "temperatures", "global-temp"),
};
