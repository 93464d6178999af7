// One execution in quickjs-emscripten: a new context in a runtime that stays. Used by the contestant
// itself and by its worker threads.
import { getQuickJS, shouldInterruptAfterDeadline } from "quickjs-emscripten";
import { MEMORY_LIMIT_MB, sourceOf, TIMEOUT_MS, usesTools, wantsSync } from "./protocol.mjs";

const quickjs = await getQuickJS();

export function newRuntime() {
  const runtime = quickjs.newRuntime();
  runtime.setMemoryLimit(MEMORY_LIMIT_MB * 1024 * 1024);
  runtime.setMaxStackSize(512 * 1024);
  return runtime;
}

/** The source to run, once per round. */
export const prepareSource = (request) => sourceOf(request, { sync: wantsSync(request) });

/** Gives the result, or a promise of it where the tool is asynchronous. */
export function execute(runtime, source, request) {
  runtime.setInterruptHandler(shouldInterruptAfterDeadline(Date.now() + TIMEOUT_MS));
  const context = runtime.newContext();
  let settling = false;
  try {
    if ("input" in request) setJson(context, "input", request.input);
    if (usesTools(request)) defineEcho(context, wantsSync(request));
    const handle = context.unwrapResult(context.evalCode(source));
    settling = usesTools(request) && !wantsSync(request);
    return settling ? settle(context, handle) : handle.consume((value) => context.dump(value));
  } finally {
    if (!settling) context.dispose();
  }
}

// Text is the quickest way in for whole structures: what a handle per property costs is seen with the first kilobyte.
function setJson(context, name, value) {
  const json = context.getProp(context.global, "JSON");
  const parse = context.getProp(json, "parse");
  const text = context.newString(JSON.stringify(value));
  const parsed = context.unwrapResult(context.callFunction(parse, json, text));
  context.setProp(context.global, name, parsed);
  for (const handle of [parsed, text, parse, json]) handle.dispose();
}

// The documentation's way for an asynchronous host function is a promise that the host settles.
function defineEcho(context, sync) {
  const name = sync ? "echo" : "callTool";
  const echo = sync
    ? context.newFunction(name, (argument) => argument.dup())
    : context.newFunction(name, (_name, argument) => {
        const promise = context.newPromise();
        const value = argument.dup();
        queueMicrotask(() => {
          value.consume((handle) => promise.resolve(handle));
          promise.settled.then(context.runtime.executePendingJobs);
        });
        return promise.handle;
      });
  context.setProp(context.global, name, echo);
  echo.dispose();
}

async function settle(context, handle) {
  try {
    const native = context.resolvePromise(handle);
    handle.dispose();
    context.runtime.executePendingJobs();
    return context.unwrapResult(await native).consume((value) => context.dump(value));
  } finally {
    context.dispose();
  }
}
