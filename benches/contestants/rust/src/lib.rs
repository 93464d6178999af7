//! The protocol of the benchmarks (benches/README.md) on standard input and output.

use std::io::{BufRead, Write};
use std::time::Duration;

use serde_json::{Value, json};

/// Why a request has no result.
pub enum Failure {
    /// What this contestant does not do.
    Unsupported(String),
    /// What went wrong.
    Error(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Error(error.to_string())
    }
}

/// That this contestant does not do it.
pub fn unsupported<T>(why: &str) -> Result<T, Failure> {
    Err(Failure::Unsupported(why.into()))
}

/// Says who this is, and answers requests until there are no more.
pub fn serve(greeting: Value, mut answer: impl FnMut(&Value) -> Result<Value, Failure>) {
    let mut out = std::io::stdout();
    writeln!(out, "{greeting}").expect("somebody reads");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line of text");
        let result = serde_json::from_str::<Value>(&line).map_err(Failure::from).and_then(|request| answer(&request));
        let reply = result.unwrap_or_else(|failure| match failure {
            Failure::Unsupported(why) => json!({"unsupported": why}),
            Failure::Error(message) => json!({"error": message}),
        });
        writeln!(out, "{reply}").expect("somebody reads");
    }
}

/// The answer to a round: how long all of it took, and each execution.
pub fn round(took: Duration, nanos: &mut [u64]) -> Value {
    let mut result = latencies(nanos);
    result["seconds"] = json!(took.as_secs_f64());
    result
}

/// Quantiles of what was measured, in microseconds.
pub fn latencies(nanos: &mut [u64]) -> Value {
    nanos.sort_unstable();
    let micros = |percent: usize| nanos[(nanos.len() * percent / 100).min(nanos.len() - 1)] as f64 / 1000.0;
    json!({
        "count": nanos.len(),
        "p10_us": micros(10),
        "p50_us": micros(50),
        "p99_us": micros(99),
        "max_us": micros(100),
    })
}

/// A text of a request.
pub fn text<'a>(request: &'a Value, name: &str) -> Result<&'a str, Failure> {
    request[name].as_str().ok_or_else(|| Failure::Error(format!("{name} is no string")))
}

/// A count of a request, at least 1.
pub fn count(request: &Value, name: &str) -> Result<usize, Failure> {
    match request[name].as_u64() {
        None if request[name].is_null() => Ok(1),
        Some(number) if number > 0 => Ok(number as usize),
        _ => Err(Failure::Error(format!("{name} is no count"))),
    }
}
