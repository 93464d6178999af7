// expect: OK {"attempts":4,"rows":144}
// A tool that fails for a while is tried again, later and later. The failure here comes from a name that is only right
// at the fourth attempt; the waiting is done with timers, during which the script costs no CPU time.
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function retry(attempt, delay = 5, left = 5) {
  try {
    return await attempt();
  } catch (error) {
    if (left === 0) throw new Error(`gave up: ${error.message}`, { cause: error });
    await sleep(delay);
    return retry(attempt, delay * 2, left - 1);
  }
}

const names = ["temperature", "temperatures", "temp", "global-temp"];
let attempts = 0;
const { total } = await retry(() => tools.read_rows({ dataset: names[attempts++], limit: 1 }));
return { attempts, rows: total };
