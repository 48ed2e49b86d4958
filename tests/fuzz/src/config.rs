//! What operators write into files and variables: keys, services, passwords, names of schemas, and
//! snapshots of workflows.

use std::path::PathBuf;
use std::sync::OnceLock;

use saga_runtime::compat;
use saga_seal::Key;

use crate::Target;
use crate::replay::everything;

pub(crate) const TARGET: Target = Target {
    name: "config",
    take,
    words: &[
        "[shop]\n",
        "host=",
        "port=",
        "dbname=",
        "user=",
        "password=",
        "\n",
        "#",
        ":",
        "*:*:*:*:",
        "\\",
        "\"",
        "\"\"",
        "$saga$",
        "@",
        ";",
        "--",
        "{",
        "}",
        "[",
        "]",
        "\"steps\": ",
        "\"types\": ",
        "\"plan\": ",
        "null",
        "0123456789abcdef",
        "é",
        "\0",
    ],
};

/// About what a server takes as a name.
const LONGEST_NAME: usize = 64;

/// Where files are written that are read by their names.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("saga-fuzz-").tempdir().expect("a folder can be made");
        folder.keep()
    })
}

fn take(bytes: &[u8]) -> bool {
    let key = std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Key>().is_ok());
    // Without a Unicode text there is no name, but there is a file.
    if let Some(name) = std::str::from_utf8(bytes).ok().filter(|name| name.len() <= LONGEST_NAME) {
        schema(name);
    }
    // Finding out what a workflow is today takes long; what is no JSON is refused before.
    let (service, snapshot) = (service(bytes), bytes.starts_with(b"{") && snapshot(bytes));
    key || service || snapshot
}

/// A schema's name stands quoted in each statement, so that none ends early.
fn schema(name: &str) {
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    for (statement, text) in saga_postgres::statements(name) {
        let is_whole = !text.contains("saga.") || name.is_empty() || text.contains(&quoted);
        assert!(is_whole, "{statement} does not quote {name:?}: {text}");
    }
    let _ = saga_postgres::migration_sql(name);
}

/// As the file of services, and as the file of passwords.
fn service(bytes: &[u8]) -> bool {
    let (services, passwords) = (folder().join("services"), folder().join("passwords"));
    write(&services, bytes);
    write(&passwords, bytes);
    let path = |path: &PathBuf| Some(path.display().to_string());
    let read = |url: &str| {
        saga_postgres::place_of(url, |name| match name {
            "PGSERVICEFILE" => path(&services),
            "PGPASSFILE" => path(&passwords),
            _ => None,
        })
    };
    let _ = read("postgres://app@db/shop");
    read("postgres://?service=shop").is_ok()
}

/// As the snapshot of a workflow, which was written by another build.
fn snapshot(bytes: &[u8]) -> bool {
    let snapshots = folder().join("saga-snapshots");
    std::fs::create_dir_all(&snapshots).expect("a folder can be made");
    write(&snapshots.join("everything.json"), bytes);
    compat::check::<everything>(&folder().display().to_string(), &[]).is_ok()
}

fn write(path: &PathBuf, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a file can be written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
}
