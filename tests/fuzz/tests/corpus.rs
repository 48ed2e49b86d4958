//! Where the corpus comes from: the pinned encodings, journals of real runs, and what people write.
//! `SAGA_CORPUS=accept` writes it; without, each piece must mean something and be there, those of the
//! journal byte for byte.

#![allow(missing_docs, reason = "tests are named as sentences")]

use std::path::Path;

use saga_fuzz::{TARGETS, everything, framed, keep, kept, target};
use saga_runtime::compat;
use saga_runtime::test::TestEngine;
use saga_seal::{Place, Seal};
use saga_store::ExecutionId;

fn put(name: &str, pieces: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let (target, accept) = (target(name), std::env::var("SAGA_CORPUS").is_ok_and(|value| value == "accept"));
    for (piece, bytes) in pieces {
        // Of the pinned encodings some are parts of what the journal's decoders take.
        let means = (target.take)(&bytes) || name == "journal";
        assert!(means, "{name}: the piece {piece} means nothing: {}", String::from_utf8_lossy(&bytes));
        if accept {
            keep(target, &piece, &bytes);
        }
        let there = kept(target, &piece);
        let is_right = there.as_ref().is_some_and(|there| name != "journal" || *there == bytes);
        assert!(is_right, "{name}: the corpus lacks {piece}, or has another; write it with SAGA_CORPUS=accept");
    }
}

/// What `cargo fuzz` runs is what is called so.
#[test]
fn each_target_of_libfuzzer_is_the_one_of_its_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for target in &TARGETS {
        let path = folder.join(format!("{}.rs", target.name));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.contains(&format!("saga_fuzz::target({:?})", target.name)), "{}", path.display());
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), TARGETS.len());
}

fn texts(name: &str, texts: &[&str]) {
    put(name, (0..).zip(texts).map(|(number, text): (u32, _)| (format!("text-{number:02}"), text.as_bytes().to_vec())));
}

#[test]
fn the_pinned_encodings_are_the_corpus_of_the_journal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../saga-store/tests/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let piece = |path: &Path| {
        let digits: Vec<u8> = std::fs::read(path).unwrap().into_iter().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
        (path.file_stem().unwrap().to_string_lossy().into_owned(), pairs.map(Result::unwrap).collect::<Vec<u8>>())
    };
    put("journal", files.map(|path| piece(&path)));
}

/// Runs that complete, that fail at each step, and that are under way.
#[tokio::test]
async fn journals_of_real_runs_are_the_corpus_of_replay_and_of_payloads() {
    let (mut frames, mut exports) = (Vec::new(), Vec::new());
    for seconds in [0, 30, 61, 70] {
        let env = TestEngine::new().seed(seconds).start().await;
        let run = env.start_run(everything("Ada".to_owned())).await;
        env.advance(std::time::Duration::from_secs(seconds)).await;
        if seconds == 30 {
            run.cancel().await.unwrap();
            env.settle().await;
        }
        let history = env.history(run.id().as_str());
        let records: Vec<_> = history.records.iter().map(saga_store::wire::Record::to_bytes).collect();
        frames.push((format!("after-{seconds}"), framed(&records)));
        exports.push((format!("history-{seconds}"), history.export().into_bytes()));
    }
    put("replay", frames);
    put("payload", exports);
    let squeezed = Seal::new().compress_over(8).close(
        Place::Status(ExecutionId::from_bytes([1; 16])),
        "again and again and again and again and again and again".into(),
    );
    put("payload", [("squeezed".to_owned(), squeezed.to_vec())]);
}

#[test]
fn what_users_write_is_the_corpus_of_tokens() {
    texts(
        "tokens",
        &[
            "\nasync fn f(#[state] s: &S, #[context] cx: &ActivityContext, a: u8) -> Result<u8, E> { Ok(a) }",
            "timeout = \"5s\", retry(max_attempts = 3, initial = \"1s\"), compensate = g(a, output.id)\nasync fn f(a: u8) -> Result<u8, E> { Ok(a) }",
            "transaction\nfn debit(#[transaction] tx: &SqliteTx<'_>, cents: i64) -> Result<(), E> { Ok(()) }",
            "queue = \"gpu\", circuit_breaker(failures = 5, cooldown = \"30s\", key = region)\npub async fn f(region: String) -> Result<(), E> { Ok(()) }",
            "version = 2, allow(clock, hash_order)\nasync fn order(order: Order) -> Result<u8, E> { let (a, b) = join!(f(1), g(2)).await; a?; select! { x = f(3) => x?, () = sleep(d) => 0 }; Ok(b?) }",
            "strict\nasync fn order(order: Order) -> Result<u8, E> { let r = reserve(order.sku.clone()).await?; charge(7).await?; for x in order.items { ship(x, &r).await?; } Ok(1) }",
            "on_undo_failure = continue, alias = \"old\"\npub(crate) async fn w(a: Vec<u8>) -> Result<(), E> { attempt(async { f(1).await }).await?; match event::<Go>().timeout(d).await { Ok(go) => spawn(child(go.n)).await?, Err(_) => return Err(e) }; Ok(()) }",
            "\nasync fn w() -> Result<(), E> { let now = std::time::Instant::now(); tokio::spawn(async {}); println!(\"x\"); for (k, v) in HashMap::new() {} loop { break } }",
            "\nenum E { #[permanent] A, #[transient(no_effect)] B { after: u8 }, #[transient(retry_after = after)] C { after: Duration } }",
            "name = \"go\"\nstruct Go { n: u8 }",
        ],
    );
}

#[test]
fn what_operators_write_is_the_corpus_of_addresses_and_of_configuration() {
    texts(
        "address",
        &[
            "sqlite://orders.db",
            "sqlite:///var/lib/a%20b.db",
            "postgres://app:secret@db.example:5433/shop?sslmode=verify-full&application_name=a%2Fb",
            "postgresql://app@a,b:5433/shop?target_session_attrs=read-write&load_balance_hosts=random",
            "postgres:///shop?host=/var/run/postgresql,/tmp&port=5432,6000",
            "postgres://app@[::1]:5432/shop?options=-c%20statement_timeout%3D5s&connect_timeout=3",
            "host=db.example hostaddr=10.0.0.1 port=5432 user=app dbname=shop password='it\\'s x'",
            "host=/tmp user=app dbname=shop sslnegotiation=direct sslmode=require keepalives_idle=30",
        ],
    );
    texts(
        "config",
        &[
            "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef",
            "# all\n[other]\nhost=a\n[shop]\n host = b\nport=6000\nuser=app\ndbname=shop\nsslmode=disable\n",
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    compat::accept::<everything>(&folder.path().display().to_string(), &[]).unwrap();
    let snapshot = std::fs::read(folder.path().join("saga-snapshots/everything.json")).unwrap();
    put("config", [("snapshot".to_owned(), snapshot)]);
}
