//! Real orders as durable sagas: the main example.
//!
//! Each order is validated, its stock reserved, its card charged, a confirmation sent; what
//! cannot be completed is taken back and the customer told. Stop it as you like, also with
//! `kill -9`: the same command goes on, and every order has its effects exactly once.
//!
//! ```text
//! cargo run --release --bin order-saga
//! cargo run --release --bin order-saga -- audit
//! cargo run --release --bin order-saga -- show ORD-17
//! ```
//!
//! - `cli`: the command line; `run`, `commands`: what it does; `open`: what it works with.
//! - `orders`: the file of purchases.
//! - `saga`: the activities and the workflow.
//! - `shop`: stock, payments and outbox, with attempts that fail on purpose.
//! - `runs`, `audit`, `timeline`, `report`: what came of it.

mod audit;
mod cli;
mod commands;
mod open;
mod orders;
mod report;
mod run;
mod runs;
mod saga;
mod shop;
mod timeline;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    saga_examples::init_logging();
    let ended = match Cli::parse().into_command() {
        Command::Run(args) => run::run(args).await,
        Command::Audit(args) => commands::audit(args).await,
        Command::Show(args) => commands::show(args).await,
        Command::Operate(args) => commands::operate(args).await,
        Command::Submit(args) => commands::submit(args).await,
        Command::Worker(args) => commands::worker(args).await,
    };
    ended.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
