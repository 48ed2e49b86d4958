use saga_runtime::prelude::*;

#[activity(circuit_breaker(failures = 5))]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
