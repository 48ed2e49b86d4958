use saga_runtime::prelude::*;

#[activity(circuit_breaker(failures = 5, cooldown = "30s", key = region))]
async fn greet(name: String) -> saga_runtime::Result<String> {
    Ok(name)
}

fn main() {}
