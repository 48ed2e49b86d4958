//! Starts a private `PostgreSQL` server, says its folder, and waits to be killed.

use std::io::Write as _;

use saga_test_server::TestServer;

fn main() {
    let server = TestServer::start_private("");
    let folder = server.folder().expect("it is private");
    println!("{}", folder.display());
    // Whoever reads waits for it.
    std::io::stdout().flush().expect("somebody reads");
    loop {
        std::thread::park();
    }
}
