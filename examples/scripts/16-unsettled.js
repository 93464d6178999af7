// expect: UNSETTLED
// Forgets to call resolve. Nothing can settle this promise any more, so the answer comes at once and not by timeout.
const ready = new Promise((resolve) => {
  const later = () => resolve(1);
});
return await ready;
