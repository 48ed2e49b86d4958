use saga_runtime::prelude::*;

#[workflow]
async fn saga() -> saga_runtime::Result<()> {
    let _ = std::net::UdpSocket::bind("127.0.0.1:0");
    Ok(())
}

fn main() {}
