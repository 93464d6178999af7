import { execute, newRuntime } from "./quickjs_context.mjs";

const runtime = newRuntime();

export default ({ source, request }) => execute(runtime, source, request);
