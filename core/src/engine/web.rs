use mozjs::{context::JSContext,gc::Handle,jsapi::JSObject};
use super::isolate::JsResult;
pub(super) fn define_structured_clone(_: &mut JSContext, _: Handle<*mut JSObject>) -> JsResult<()> {Ok(())}
pub(super) fn define_text_encoder(_: &mut JSContext, _: Handle<*mut JSObject>) -> JsResult<()> {Ok(())}
pub(super) fn define_text_decoder(_: &mut JSContext, _: Handle<*mut JSObject>) -> JsResult<()> {Ok(())}
pub(super) fn define_atob(_: &mut JSContext, _: Handle<*mut JSObject>) -> JsResult<()> {Ok(())}
pub(super) fn define_btoa(_: &mut JSContext, _: Handle<*mut JSObject>) -> JsResult<()> {Ok(())}
