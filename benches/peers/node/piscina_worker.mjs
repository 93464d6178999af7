import vm from "node:vm";

export default ({ source, timeout, port, ...globals }) => {
  if (port) globals.callTool = toolsThrough(port);
  return vm.runInNewContext(source, globals, { timeout });
};

function toolsThrough(port) {
  const waiting = new Map();
  let last = 0;
  port.on("message", ({ id, value }) => {
    waiting.get(id)(value);
    waiting.delete(id);
  });
  return (_name, argument) =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      port.postMessage({ id: last, argument });
    });
}
