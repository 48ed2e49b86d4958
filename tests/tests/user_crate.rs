//! A crate as a user has it, built by the user's tools: clippy with the configuration that the docs
//! give, under lints that deny all they can, and rustdoc.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SOURCES: &[&str] = &["src/lib.rs", "src/bin/mistakes.rs"];

/// One at a time builds the crate.
static BUILDING: Mutex<()> = Mutex::new(());

/// Puts the crate together, with the versions of this workspace.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("user");
    fs::create_dir_all(folder.join("src/bin")).expect("a folder can be made");
    let lints = page_block("[lints.clippy]");
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nsaga-runtime = {{ path = \"{ROOT}/saga-runtime\" }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\nthiserror = \"2\"\n\
         tracing = {{ version = \"0.1\", default-features = false, features = [\"std\"] }}\n\n{lints}\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest can be written");
    fs::copy(format!("{ROOT}/Cargo.lock"), folder.join("Cargo.lock")).expect("the versions can be copied");
    fs::copy(format!("{ROOT}/docs/clippy.toml"), folder.join("clippy.toml")).expect("there is a configuration");
    for source in SOURCES {
        let text = fs::read(format!("{ROOT}/tests/user/{source}")).expect("the source is there");
        // What did not change is not built again.
        if fs::read(folder.join(source)).ok().as_ref() != Some(&text) {
            fs::write(folder.join(source), text).expect("a source can be written");
        }
    }
    folder
}

/// The block of the page about compile errors that begins with this line.
fn page_block(first: &str) -> String {
    let page = fs::read_to_string(format!("{ROOT}/docs/compile-errors.md")).expect("the page is there");
    let (_, rest) = page.split_once(&format!("```toml\n{first}\n")).expect("the page has the block");
    format!("{first}\n{}", rest.split("```").next().unwrap_or_default())
}

fn cargo(arguments: &[&str], flags: (&str, &str)) -> Output {
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder();
    Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--quiet", "--target-dir"])
        .arg(folder.with_file_name("user-target"))
        .current_dir(&folder)
        .env(flags.0, flags.1)
        .output()
        .expect("cargo runs")
}

/// How many warnings clippy has for each line of a source, by rule.
fn warnings(output: &Output) -> BTreeMap<(String, u64), Vec<String>> {
    let mut warnings: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(told) = serde_json::from_str::<Value>(line) else { continue };
        let (message, code) = (&told["message"], told["message"]["code"]["code"].as_str());
        let Some(span) = message["spans"].as_array().and_then(|spans| spans.first()) else { continue };
        let place =
            (span["file_name"].as_str().unwrap_or_default().to_owned(), span["line_start"].as_u64().unwrap_or(0));
        warnings.entry(place).or_default().push(code.unwrap_or("an error").to_owned());
    }
    warnings
}

#[test]
fn plain_clippy_sees_through_aliases_and_methods_and_nothing_else_is_asked() {
    let output = cargo(&["clippy", "--bin", "mistakes", "--message-format=json"], ("RUSTFLAGS", ""));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let source = fs::read_to_string(format!("{ROOT}/tests/user/src/bin/mistakes.rs")).expect("the source is there");
    let mut wanted = BTreeMap::new();
    for (line, text) in (1..).zip(source.lines()) {
        let count = if text.ends_with("// refused twice") { 2 } else { usize::from(text.ends_with("// refused")) };
        if count > 0 {
            let place = ("src/bin/mistakes.rs".to_owned(), line);
            wanted.insert(place, vec!["clippy::disallowed_methods".to_owned(); count]);
        }
    }
    assert_eq!(wanted.len(), 9, "each mark is found");
    assert_eq!(warnings(&output), wanted);
}

#[test]
fn generated_code_passes_whatever_the_users_crate_denies() {
    let output = cargo(&["clippy", "--lib", "--message-format=json"], ("RUSTFLAGS", ""));
    assert_eq!(warnings(&output), BTreeMap::new(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
}

/// The text of a page of the documentation, without its tags.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' => in_tag = false,
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"")
}

#[test]
fn the_documentation_shows_the_durable_signature_the_defaults_and_the_undo() {
    let output = cargo(&["doc", "--no-deps", "--lib"], ("RUSTDOCFLAGS", "-Dwarnings"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = |item: &str| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("user-target/doc/user").join(item);
        text(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    for (item, said) in [
        ("fn.reserve.html", "Reserves stock."),
        ("fn.reserve.html", "Recorded as reserve(sku: String, quantity: u32) -> Result<u64, StockError>."),
        ("fn.reserve.html", "One attempt may take 5s."),
        ("fn.reserve.html", "It is tried at most 5 times (the default), 100ms after the first attempt"),
        ("fn.reserve.html", "Undone by release(output)."),
        ("fn.release.html", "One attempt may take 30s (the default)."),
        ("fn.release.html", "After 5 failures in a row no attempt is let through for 30s."),
        ("fn.release.html", "Its priority there is -3: of the steps that wait, higher ones go first."),
        ("fn.charge.html", "It is the point of no return."),
        ("fn.charge.html", "It is tried once."),
        ("fn.sell_many.html", "A workflow, version 2"),
        ("fn.sell_many.html", "sell_all(skus: Vec<String>) -> saga_runtime::Result<Vec<u64>>"),
    ] {
        assert!(page(item).contains(said), "{item} does not say {said:?}: {}", page(item));
    }
    let index = page("index.html");
    assert!(index.contains("reserveReserves stock.sellSells something."), "the functions are listed: {index}");
    assert_eq!(index.matches("reserve").count(), 2, "and the types of the same names are not: {index}");
}
