// expect: TIMEOUT
// limit: timeout_ms=300
// Hostile: every promise job makes the next one, so that the queue never runs dry.
const again = () => Promise.resolve().then(again);
again();
await new Promise(() => {});
