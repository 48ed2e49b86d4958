//! The workflows that are built in, by their names.

use crate::workflow::WorkflowDefinition;
use crate::{errand, session};

/// The definition of the workflow of this name, if it is built in: such runs work for other runs.
pub(crate) fn definition(workflow: &str) -> Option<&'static WorkflowDefinition> {
    let errand = errand::is_errand(workflow).then_some(&errand::DEFINITION);
    errand.or_else(|| session::is_session(workflow).then_some(&session::DEFINITION))
}
