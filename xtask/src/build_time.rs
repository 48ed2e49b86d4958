//! How long a user's crate takes to build: ten activities and three workflows, beyond what their
//! dependencies take; and again after a change in a workflow's body.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A build from clean may take so long, beyond the dependencies.
const CLEAN: Duration = Duration::from_secs(20);

/// A build after a change may take so long.
const AGAIN: Duration = Duration::from_secs(3);

/// Measures, and fails if a bound is not kept.
pub(crate) fn run() -> ExitCode {
    match measure() {
        Ok((clean, again)) => {
            let line = |what: &str, took: Duration, bound: Duration| {
                let verdict = if took <= bound { "ok" } else { "TOO LONG" };
                println!("{what:<44} {:>6.2} s  (at most {} s)  {verdict}", took.as_secs_f64(), bound.as_secs());
            };
            line("from clean, beyond its dependencies", clean, CLEAN);
            line("again, after a change in a workflow's body", again, AGAIN);
            if clean <= CLEAN && again <= AGAIN { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> std::io::Result<(Duration, Duration)> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folder = root.join("target/build-time");
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), manifest())?;
    std::fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    std::fs::write(folder.join("src/main.rs"), "fn main() {}\n")?;
    build(&folder)?;
    std::fs::write(folder.join("src/main.rs"), source(0))?;
    let clean = build(&folder)?;
    std::fs::write(folder.join("src/main.rs"), source(1))?;
    let again = build(&folder)?;
    Ok((clean, again))
}

fn build(folder: &Path) -> std::io::Result<Duration> {
    let begun = Instant::now();
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()?;
    if status.success() { Ok(begun.elapsed()) } else { Err(std::io::Error::other("the crate does not build")) }
}

fn manifest() -> String {
    "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
     saga-runtime = { path = \"../../saga-runtime\" }\nsaga-sqlite = { path = \"../../saga-sqlite\" }\n\
     serde = { version = \"1\", features = [\"derive\"] }\nthiserror = \"2\"\n\
     tokio = { version = \"1\", features = [\"rt-multi-thread\", \"macros\"] }\n"
        .to_owned()
}

/// Ten activities, each with an undo, an error type and options, and three workflows of them.
fn source(change: u32) -> String {
    let mut text = String::from(
        "use saga_runtime::prelude::*;\nuse serde::{Deserialize, Serialize};\n\n\
         #[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize, Classify)]\n\
         enum StepError {\n    #[error(\"refused\")]\n    #[permanent]\n    Refused,\n    #[error(\"busy\")]\n    #[transient]\n    Busy,\n}\n\n\
         #[activity]\nasync fn take_back(number: u32, name: String) -> Result<(), StepError> {\n    \
         if name.is_empty() { Err(StepError::Busy) } else { let _ = number; Ok(()) }\n}\n",
    );
    for number in 0..9 {
        let _ = write!(
            text,
            "\n#[activity(timeout = \"5s\", retry(max_attempts = 3), compensate = take_back(number, name))]\n\
             async fn step_{number}(number: u32, name: String) -> Result<u32, StepError> {{\n    \
             if name.len() > 100 {{ Err(StepError::Refused) }} else {{ Ok(number + {number}) }}\n}}\n"
        );
    }
    for workflow in 0..3 {
        let _ = write!(text, "\n#[workflow]\nasync fn flow_{workflow}(name: String) -> saga_runtime::Result<u32> {{\n");
        let _ = writeln!(text, "    let mut sum = {change}_u32;");
        for number in 0..9 {
            let _ = writeln!(text, "    sum += step_{number}({number}, name.clone()).await?;");
        }
        text.push_str("    Ok(sum)\n}\n");
    }
    text.push_str(
        "\n#[tokio::main]\nasync fn main() -> Result<(), Box<dyn std::error::Error>> {\n    \
         let store = saga_sqlite::SqliteStore::open(\"user.db\").await?;\n    \
         let engine = Engine::builder(store).start().await?;\n    \
         for sum in [\n        engine.client().start(flow_0(\"a\".to_owned())).await?.result().await?,\n        \
         engine.client().start(flow_1(\"b\".to_owned())).await?.result().await?,\n        \
         engine.client().start(flow_2(\"c\".to_owned())).await?.result().await?,\n    ] {\n        println!(\"{sum}\");\n    }\n    \
         engine.shutdown().await;\n    Ok(())\n}\n",
    );
    text
}
