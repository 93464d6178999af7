// expect: MESSAGE_FLOOD
// limit: max_console_calls=1000000
// limit: max_console_output=1000000000
// Hostile: may write a million lines, but not all of them in one second.
for (;;) console.log("");
