//! Logs, on the error stream so that the output proper stays clean.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Attempts that fail are the daily bread of these programs; the rest of what the framework warns
/// of is not.
const DEFAULT: &str = "warn,saga_runtime::layer=error";

/// Writes warnings and errors, or what `RUST_LOG` asks for, to the error stream.
pub fn init_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    if logs.try_init().is_err() {
        tracing::debug!("logging was set up before");
    }
}
