// expect: TIMEOUT
// limit: timeout_ms=300
// Hostile: never ends, and tries to survive its end.
for (;;) {
  try {
    for (;;);
  } catch {
    continue;
  } finally {
    continue;
  }
}
