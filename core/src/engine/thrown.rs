//! How our code says that the engine has thrown.

/// The engine has thrown: there is a pending exception, or none if the execution is being ended.
#[derive(Debug)]
pub(super) struct Thrown;

/// The result of whatever may run script.
pub(super) type JsResult<T> = Result<T, Thrown>;

/// The engine's `bool` as a result.
pub(super) fn check(ok: bool) -> JsResult<()> {
    if ok { Ok(()) } else { Err(Thrown) }
}
