use mozjs::{context::JSContext,gc::Handle,jsapi::JSObject};
use super::isolate::JsResult;
#[derive(Default)] pub(super) struct ConsoleState;
impl ConsoleState { pub(super) fn calls(&self) -> u32 {0} }
pub(super) fn define(_: &mut JSContext, _: Handle<*mut JSObject>) -> JsResult<()> {Ok(())}
