// expect: CONSOLE_LIMIT
// limit: max_console_calls=60
// Hostile: writes to the console without end.
for (let i = 0; ; i++) console.log("all work and no play", i);
