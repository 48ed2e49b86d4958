//! Whether today's code can go on with yesterday's runs: a workflow's plan and types, held against
//! a snapshot that is kept beside the code.

mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::{Deserialize, Serialize};

use crate::registry::Registry;
use crate::shape::{Reader, Shape};
use crate::workflow::Workflow;

/// Holds a workflow's plan and types against its snapshot, in a test; panics if runs in flight
/// would break, with what would break them and what to do.
///
/// The snapshot is `saga-snapshots/order_saga.json` beside the crate's manifest, to be committed
/// (of version 2, `order_saga.v2.json`). `SAGA_SNAPSHOT=accept cargo test` writes it, the first
/// time and when a change is meant.
///
/// - Compatible: a new field with a default, a field under a new name with `#[serde(alias = "…")]` for the old
///   one, a field that is gone unless unknown ones are denied, a wider integer, a new variant, a step that follows
///   at the end, a step within a new `if patched("…")`.
/// - Not compatible: a step that is gone, renamed, new in between or in another order; a type that
///   cannot read what the old one wrote; an undo whose activity is gone, since what it is to undo
///   is recorded.
///
/// A workflow that has another name now is held against the snapshot of its alias. Steps go by their durable names, and helpers by what they await. What neither plan nor types
/// show, such as another condition of an `if`, is found by `replay` of a stored history.
///
/// Types are found out by letting them read from a probe. Those that cannot be (flattened, tagged
/// within, untagged, with checks of their own) need a sample value: the message names them. A sample
/// is kept in the snapshot, and must be readable from then on. The input is the workflow's own type,
/// whose fields are the parameters.
///
/// ```no_run
/// # use saga_runtime::prelude::*;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Order { id: String }
/// #[workflow]
/// async fn order_saga(order: Order) -> saga_runtime::Result<String> {
///     Ok(order.id)
/// }
/// // In a test:
/// saga_runtime::assert_compatible!(order_saga);
/// // If `Order` cannot be probed:
/// saga_runtime::assert_compatible!(order_saga, sample = order_saga { order: Order { id: "ORD-1".into() } });
/// ```
#[macro_export]
macro_rules! assert_compatible {
    ($workflow:ty $(, sample = $sample:expr)* $(,)?) => {
        if let ::core::result::Result::Err(why) = $crate::compat::hold::<$workflow>(
            ::core::env!("CARGO_MANIFEST_DIR"),
            &[$($crate::compat::sample(&$sample)),*],
        ) {
            ::core::panic!("{why}");
        }
    };
}

/// A value of a type that cannot be probed.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Sample {
    type_name: &'static str,
    value: serde_json::Value,
}

/// A value as a sample.
#[doc(hidden)]
pub fn sample<T: Serialize>(value: &T) -> Sample {
    Sample { type_name: std::any::type_name::<T>(), value: serde_json::to_value(value).unwrap_or_default() }
}

/// What a workflow was when its snapshot was taken.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Snapshot {
    workflow: String,
    version: u32,
    /// What it awaits, in order, indented by what it stands in.
    plan: Vec<String>,
    /// What is recorded for it.
    types: BTreeMap<String, Shape>,
    /// Values of what is recorded for it and cannot be probed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    samples: BTreeMap<String, serde_json::Value>,
}

/// A workflow's snapshot as of now, with what reads the samples of an old one.
struct Now {
    snapshot: Snapshot,
    function: &'static str,
    readers: BTreeMap<String, Reader>,
}

/// What [`assert_compatible!`] does: the check, or with `SAGA_SNAPSHOT=accept` a new snapshot.
#[doc(hidden)]
pub fn hold<W: Workflow>(folder: &str, samples: &[Sample]) -> Result<(), String> {
    if env::var_os("SAGA_SNAPSHOT").is_some_and(|value| value == "accept") {
        return accept::<W>(folder, samples);
    }
    check::<W>(folder, samples)
}

/// Holds a workflow against its snapshot in this folder's `saga-snapshots`. What is wrong, in
/// words.
#[doc(hidden)]
pub fn check<W: Workflow>(folder: &str, samples: &[Sample]) -> Result<(), String> {
    let now = now::<W>(samples)?;
    let names = std::iter::once(W::NAME).chain(W::definition().aliases.iter().copied());
    let mut paths = names.map(|name| path(Path::new(folder), name, W::VERSION));
    let found = paths.clone().find(|path| path.exists()).or_else(|| paths.next());
    found.map_or(Ok(()), |path| compare(&path, &now))
}

/// Writes the snapshot of a workflow into this folder's `saga-snapshots`.
#[doc(hidden)]
pub fn accept<W: Workflow>(folder: &str, samples: &[Sample]) -> Result<(), String> {
    let now = now::<W>(samples)?.snapshot;
    write(&path(Path::new(folder), W::NAME, W::VERSION), &now)
}

fn path(folder: &Path, workflow: &str, version: u32) -> PathBuf {
    let version = if version == 1 { String::new() } else { format!(".v{version}") };
    let name = workflow.replace(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.'), "_");
    folder.join("saga-snapshots").join(format!("{name}{version}.json"))
}

fn write(path: &Path, now: &Snapshot) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    let mut text = serde_json::to_string_pretty(now).map_err(|error| error.to_string())?;
    text.push('\n');
    path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text)).map_err(failed)
}

fn compare(path: &Path, now: &Now) -> Result<(), String> {
    let (shown, workflow) = (path.display(), &now.snapshot.workflow);
    let text = fs::read_to_string(path).map_err(|error| {
        format!(
            "`{workflow}` has no snapshot to be held against: {shown}: {error}; take one by running this test with \
             SAGA_SNAPSHOT=accept, and commit it"
        )
    })?;
    let before: Snapshot = serde_json::from_str(&text)
        .map_err(|error| format!("{shown} is no snapshot: {error}; take a new one with SAGA_SNAPSHOT=accept"))?;
    let mut found = plan::differences(&before.plan, &now.snapshot.plan);
    for (what, old) in &before.types {
        if let Some(new) = now.snapshot.types.get(what) {
            old.unreadable_as(new, what, &mut found);
        } else if let Some(sample) = now.snapshot.samples.get(what) {
            old.unreadable_as(&Shape::of_value(sample), what, &mut found);
        } else if let Some(undo) = what.strip_prefix("input of undo ") {
            // What is gone from the plan is told of there, but an undo stands in the journal.
            old_undo(undo, old, &mut found);
        }
    }
    for (what, sample) in &before.samples {
        if let Some(Err(why)) = now.readers.get(what).map(|read| read(sample)) {
            found.push(format!("{what}: the sample in the snapshot cannot be read any more: {why}"));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "runs of `{workflow}` in flight would break: `{}` is not compatible with {shown}\n  - {}\n\
         What to do: keep the old way for old runs with `if patched(\"…\") {{ … }}`; or leave this function to them, and \
         write the new one beside it with a higher `version`; or, if no run is in flight, accept the change with \
         SAGA_SNAPSHOT=accept.",
        now.function,
        found.join("\n  - ")
    ))
}

/// An undo that the plan has no more: runs in flight may still have to take it.
fn old_undo(name: &str, old: &Shape, found: &mut Vec<String>) {
    let name = name.trim_matches('`');
    let registry = Registry::linked();
    let Some(activity) = registry.activities().find(|activity| activity.name == name) else {
        found.push(format!("undo `{name}`: is gone; what it is to undo in runs in flight can no longer be undone"));
        return;
    };
    let [(_, input), ..] = (activity.describe)();
    if let Ok(new) = input.shape {
        old.unreadable_as(&new, &format!("input of undo `{name}`"), found);
    }
}

fn now<W: Workflow>(samples: &[Sample]) -> Result<Now, String> {
    let registry = Registry::linked();
    let flat = plan::Flat::of(W::PLAN, &registry);
    let mut types = BTreeMap::new();
    let (mut shapes, mut values, mut readers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut unknown, mut unused): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    types.extend((W::definition().describe)().map(|(what, found)| (what.to_owned(), found)));
    types.extend(flat.recorded());
    for (what, described) in &types {
        readers.insert(what.clone(), described.read);
        match (&described.shape, samples.iter().find(|sample| sample.type_name == described.type_name)) {
            (_, Some(sample)) => drop(values.insert(what.clone(), sample.value.clone())),
            (Ok(shape), None) => drop(shapes.insert(what.clone(), shape.clone())),
            (Err(why), None) => unknown.push(format!("{what}: {why}")),
        }
    }
    let function = W::PLAN.function;
    if !unknown.is_empty() {
        return Err(format!(
            "what `{}` records cannot all be found out; give a value of each as a sample: \
             `assert_compatible!({function}, sample = …)`\n  - {}",
            W::NAME,
            unknown.join("\n  - ")
        ));
    }
    let is_used = |sample: &Sample| types.values().any(|described| described.type_name == sample.type_name);
    unused.extend(samples.iter().filter(|sample| !is_used(sample)).map(|sample| sample.type_name));
    if !unused.is_empty() {
        return Err(format!(
            "`{}` records nothing of type `{}`: a sample is of a whole input, output, error or event; the input of \
             `{function}` is of the type `{function}`, whose fields are the parameters",
            W::NAME,
            unused.join("`, `")
        ));
    }
    let (workflow, version) = (W::NAME.to_owned(), W::VERSION);
    let snapshot = Snapshot { workflow, version, plan: flat.lines, types: shapes, samples: values };
    Ok(Now { snapshot, function, readers })
}
