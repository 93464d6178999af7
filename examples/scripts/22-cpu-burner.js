// expect: CPU_LIMIT
// limit: cpu_time_limit_ms=200
// Hostile: a regular expression that needs exponential time.
/^(a+)+$/.test("a".repeat(40) + "!");
