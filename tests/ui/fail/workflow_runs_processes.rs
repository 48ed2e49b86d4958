use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::process::Command::new("ls").status();
    std::process::exit(7);
}

fn main() {}
