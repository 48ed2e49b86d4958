//! Workflows: the functions whose steps are durable.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;

use saga_store::wire::{Payload, UndoStep};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::__private::Recorded;
use crate::activity::{UndoCall, UndoKind};
use crate::codec::{self, CodecError, Encoder};
use crate::context;
use crate::plan::Plan;
use crate::shape::Described;

/// What `#[workflow]` makes of a function, on a type of the same name whose fields are the
/// inputs. Not implemented by hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "not a workflow",
    note = "annotate the function with `#[workflow]`"
)]
pub trait Workflow: Serialize + DeserializeOwned + Send + 'static {
    /// What it returns.
    type Output: Recorded;
    /// What it fails with.
    type Error: Recorded + Display;

    /// The durable name.
    const NAME: &'static str;
    /// The version: old runs end on the code of their version.
    const VERSION: u32;
    /// What it does, as the macro saw it.
    const PLAN: &'static Plan;

    /// Which undo the attribute declares, for a completed child of this workflow.
    const UNDO: UndoKind = UndoKind::Nothing;
    /// That undo as it is written; empty if there is none.
    const UNDONE_BY: &'static str = "";

    /// The undo, where it needs the input only.
    fn undo_from_input(self) -> Option<UndoCall> {
        None
    }

    /// The undo, where it needs the output.
    fn undo_from_output(self, _output: Self::Output) -> Option<UndoCall> {
        None
    }

    /// The workflow as the engine sees it.
    fn definition() -> &'static WorkflowDefinition;

    /// The body. Only the engine polls it.
    fn run(self) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send + 'static;
}

/// How a workflow's body ended.
pub(crate) enum BodyEnd {
    Returned(Payload),
    Failed {
        error: Payload,
        message: String,
    },
    /// The value cannot be recorded.
    Unrecordable(String),
}

pub(crate) type BodyFuture = Pin<Box<dyn Future<Output = BodyEnd> + Send>>;

/// A workflow as the engine sees it. Made by `#[workflow]` and registered at link time.
pub struct WorkflowDefinition {
    /// The durable name.
    pub name: &'static str,
    /// The version.
    pub version: u32,
    /// The module in which it is declared.
    pub module: &'static str,
    /// Names that it had before: runs of these are its own.
    pub aliases: &'static [&'static str],
    /// Whether undoing goes on after an undo that failed for good.
    pub undo_continues: bool,
    /// What it does, as the macro saw it.
    pub plan: &'static Plan,
    /// What undoes it once it has completed, as it is written; empty if nothing does.
    pub undone_by: &'static str,
    pub(crate) type_name: fn() -> &'static str,
    /// What is recorded for it: input, output and error.
    pub(crate) describe: fn() -> [(&'static str, Described); 3],
    pub(crate) begin: fn(&Payload) -> Result<BodyFuture, CodecError>,
    pub(crate) undo_from_output: fn(&Payload, &Payload) -> Result<Option<UndoCall>, CodecError>,
}

impl Debug for WorkflowDefinition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkflowDefinition")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

impl WorkflowDefinition {
    /// The definition of a workflow.
    pub const fn of<W: Workflow>(module: &'static str) -> Self {
        Self {
            name: W::NAME,
            version: W::VERSION,
            module,
            aliases: &[],
            undo_continues: false,
            plan: W::PLAN,
            undone_by: W::UNDONE_BY,
            type_name: std::any::type_name::<W>,
            describe: describe::<W>,
            begin: begin::<W>,
            undo_from_output: undo_from_output::<W>,
        }
    }

    /// The undo of a completed child with this input and output.
    pub(crate) fn undo_for(
        &self,
        input: &Payload,
        output: &Payload,
        encoder: Encoder,
    ) -> Result<Option<Box<UndoStep>>, CodecError> {
        let undo = codec::within(encoder.codec, || (self.undo_from_output)(input, output))?;
        undo.map(|undo| undo.into_step(encoder)).transpose()
    }

    /// The same, with names that it had before.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same, and undoing goes on after an undo that failed for good.
    #[must_use]
    pub const fn undo_continues(mut self) -> Self {
        self.undo_continues = true;
        self
    }

    /// Whether runs of this workflow name are its own.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Whether it is declared at module level, not inside a function's body.
    pub fn is_module_level(&self) -> bool {
        crate::place::is_module_level(self.module, (self.type_name)())
    }
}

fn describe<W: Workflow>() -> [(&'static str, Described); 3] {
    [("input", Described::of::<W>()), ("output", Described::of::<W::Output>()), ("error", Described::of::<W::Error>())]
}

fn begin<W: Workflow>(input: &Payload) -> Result<BodyFuture, CodecError> {
    let input = codec::decode::<W>(input)?;
    let body = input.run();
    Ok(Box::pin(async move {
        let ended = body.await;
        let encoder = context::with("the end of a workflow", |cx| cx.encoder());
        match ended {
            Ok(output) => match encoder.encode(&output) {
                Ok(output) => BodyEnd::Returned(output),
                Err(error) => BodyEnd::Unrecordable(format!("the workflow's result cannot be recorded: {error}")),
            },
            Err(error) => match encoder.encode(&error) {
                Ok(payload) => BodyEnd::Failed { message: error.to_string(), error: payload },
                Err(why) => {
                    BodyEnd::Unrecordable(format!("the workflow's error \"{error}\" cannot be recorded: {why}"))
                }
            },
        }
    }))
}

fn undo_from_output<W: Workflow>(input: &Payload, output: &Payload) -> Result<Option<UndoCall>, CodecError> {
    let input = codec::decode::<W>(input)?;
    let output = codec::decode::<W::Output>(output)?;
    Ok(input.undo_from_output(output))
}

/// The definition of a workflow that is built in: `begin`, in the module that calls this, begins it.
macro_rules! built_in {
    ($name:literal, $version:expr) => {
        $crate::workflow::WorkflowDefinition {
            name: $name,
            version: $version,
            module: module_path!(),
            plan: &$crate::plan::Plan {
                name: $name,
                version: $version,
                function: "",
                module: module_path!(),
                file: file!(),
                line: line!(),
                strict: false,
                nodes: &[],
            },
            undone_by: "",
            type_name: || $name,
            describe: || ["input", "output", "error"].map(|what| (what, $crate::shape::Described::of::<()>())),
            begin,
            aliases: &[],
            undo_continues: false,
            undo_from_output: |_, _| Ok(None),
        }
    };
}

pub(crate) use built_in;
