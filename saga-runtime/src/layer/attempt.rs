//! One attempt on its way to the activity's code.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use saga_store::wire::Payload;
use serde_json::Value;

use crate::activity::{ActivityContext, ActivityDefinition, ActivityOptions};
use crate::codec::{self, CodecError};

/// One attempt of an activity, or of an undo, as a layer sees it.
pub struct Attempt {
    pub(crate) context: ActivityContext,
    pub(crate) definition: &'static ActivityDefinition,
    pub(crate) input: Payload,
    pub(crate) timeout: Duration,
    pub(crate) default_timeout: bool,
}

impl Attempt {
    /// What the activity's code may ask: the activity, the run, the number of the attempt.
    pub fn context(&self) -> &ActivityContext {
        &self.context
    }

    /// What `#[activity(…)]` says.
    pub fn options(&self) -> &ActivityOptions {
        &self.definition.options
    }

    /// The durable name of the run's workflow.
    pub fn workflow(&self) -> &str {
        &self.context.scope().workflow
    }

    /// The step's place in the workflow, as lists and logs show it.
    pub fn step(&self) -> String {
        self.context.task().to_string()
    }

    /// How long the attempt may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sets how long the attempt may take, for layers further in.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
        self.default_timeout = false;
    }

    /// The activity's input: one object, keyed by the names of the parameters. It is decoded for
    /// this call, so that attempts that nobody asks cost nothing.
    ///
    /// # Errors
    ///
    /// If the recorded input cannot be read.
    pub fn input(&self) -> Result<Value, CodecError> {
        let text = codec::text(&self.input)?;
        serde_json::from_str(&text).map_err(|error| CodecError::new(format!("the input is no JSON: {error}")))
    }

    /// Gives the activity's code a value, which it gets with
    /// [`ActivityContext::extension`]. It replaces one of the same type.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.context.insert_extension(value);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("context", &self.context)
            .field("workflow", &self.workflow())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
