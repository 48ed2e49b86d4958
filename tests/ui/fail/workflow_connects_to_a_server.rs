use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::net::TcpStream::connect("127.0.0.1:80");
    Ok(())
}

fn main() {}
