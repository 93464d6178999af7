//! The memory that the host holds for one execution: the arguments of unanswered tool calls, and the answers that have
//! not reached the script. Their holder counts them: the link to an isolate, or the channel to a process.

use crate::error::{Error, LimitUnit};
use crate::execution::ToolError;
use crate::value::Value;

/// What a tool call takes besides its argument.
const CALL: u64 = 256;

/// Bytes that a tool call holds until it is answered.
pub(crate) fn of_call(name: &str, args: &Value) -> u64 {
    CALL + name.len() as u64 + args.memory()
}

/// Bytes that an answer holds until the script has it.
pub(crate) fn of_answer(answer: Result<&Value, &ToolError>) -> u64 {
    match answer {
        Ok(value) => CALL + value.memory(),
        Err(ToolError { name, message, code }) => {
            CALL + (name.len() + message.len() + code.as_ref().map_or(0, String::len)) as u64
        }
    }
}

/// The budget of one execution.
#[derive(Default)]
pub(crate) struct Pending {
    limit: u64,
    held: u64,
    /// What would have been held when something was refused.
    refused: Option<u64>,
}

impl Pending {
    pub(crate) fn new(limit: u64) -> Self {
        Pending { limit, held: 0, refused: None }
    }

    /// Takes so many bytes more, unless that is too much: then the execution must end. If nothing is held, the next one
    /// always has a place.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), Error> {
        let held = self.held.saturating_add(bytes);
        if self.held > 0 && held > self.limit {
            self.refused.get_or_insert(held);
        }
        self.check()?;
        self.held = held;
        Ok(())
    }

    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// The error of an execution for which something was refused.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.refused {
            None => Ok(()),
            Some(used) => Err(Error::ToolCallLimit { limit: self.limit, unit: LimitUnit::PendingBytes, used }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_has_a_place_and_all_together_the_limit() {
        let mut pending = Pending::new(100);
        assert!(pending.take(1000).is_ok());
        pending.give_back(1000);
        assert!(pending.take(60).is_ok() && pending.take(40).is_ok());
        let error = pending.take(1).unwrap_err();
        assert_eq!(error, Error::ToolCallLimit { limit: 100, unit: LimitUnit::PendingBytes, used: 101 });
        assert!(error.to_string().contains("101 bytes") && error.to_string().contains("max_pending_bytes is 100"));
    }

    #[test]
    fn what_was_refused_stays_so() {
        let mut pending = Pending::new(100);
        assert!(pending.take(100).is_ok());
        let error = pending.take(100).unwrap_err();
        pending.give_back(100);
        assert_eq!(pending.take(1), Err(error.clone()));
        assert_eq!(pending.check(), Err(error));
    }
}
