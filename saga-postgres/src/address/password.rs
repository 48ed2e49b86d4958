//! The password file that `libpq` reads.

use saga_store::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::invalid;

/// Folders in which a socket is found without being named; a password file calls them `localhost`.
pub(super) const SOCKETS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// The password that a file has for these hosts. One password serves for all of them, so that it
/// has to be the same where the file has several.
pub(super) fn from_file(path: &str, config: &Config, user: Option<&str>) -> Result<Option<String>, StoreError> {
    let Some(user) = user else { return Ok(None) };
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    if is_for_all(path) {
        tracing::warn!(file = path, "the password file is left unread: others may read it; chmod 0600 it");
        return Ok(None);
    }
    let database = config.get_dbname().unwrap_or(user);
    let ports = config.get_ports();
    let mut found: Option<String> = None;
    for (index, host) in config.get_hosts().iter().enumerate() {
        let port = ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432).to_string();
        let names = names(host);
        let password = names.iter().find_map(|name| look_up(&text, [name, &port, database, user]));
        match (&found, password) {
            (Some(found), Some(password)) if *found != password => {
                return Err(invalid(
                    "the password file has different passwords for its hosts, and one is used for all; give it in the \
                     address or PGPASSWORD",
                ));
            }
            (None, Some(password)) => found = Some(password),
            _ => {}
        }
    }
    Ok(found)
}

/// As what a password file may know a host.
fn names(host: &Host) -> Vec<String> {
    match host {
        Host::Tcp(name) => vec![name.clone()],
        #[cfg(unix)]
        Host::Unix(path) => {
            let path = path.display().to_string();
            let local = SOCKETS.contains(&path.as_str()).then(|| "localhost".to_owned());
            local.into_iter().chain([path]).collect()
        }
    }
}

#[cfg(unix)]
fn is_for_all(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_for_all(_: &str) -> bool {
    false
}

fn look_up(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let (password, keys) = fields.split_last().filter(|(_, keys)| keys.len() == wanted.len())?;
        keys.iter().zip(wanted).all(|(key, wanted)| key == "*" || key == wanted).then(|| password.clone())
    })
}

/// The fields of a line: colons between them, backslashes before colons and backslashes within.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        let last = fields.len() - 1;
        match char {
            ':' => fields.push(String::new()),
            '\\' => fields[last].extend(chars.next()),
            char => fields[last].push(char),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn password(text: &str, mode: u32, address: &str) -> Result<Option<String>, StoreError> {
        let file = file(text, mode);
        from_file(file.path().to_str().unwrap(), &address.parse().unwrap(), Some("me"))
    }

    #[test]
    fn a_line_has_escapes() {
        assert_eq!(fields(r"h\:1:5432:*:me:a\\b"), ["h:1", "5432", "*", "me", r"a\b"]);
    }

    #[test]
    fn each_host_is_looked_for_with_its_own_port() {
        let text = "a:1:*:me:one\nb:2:shop:me:two\nlocalhost:*:*:me:local\n";
        let found = |address| password(text, 0o600, address).unwrap();
        assert_eq!(found("postgres://me@x:1,b:3/shop"), None);
        assert_eq!(found("postgres://me@x:1,b:2/shop").as_deref(), Some("two"));
        assert_eq!(found("postgres://me@a:1/shop").as_deref(), Some("one"));
        assert_eq!(found("postgres://me@/shop?host=/tmp").as_deref(), Some("local"));
        assert_eq!(found("postgres://me@/shop?host=/elsewhere"), None);
        let error = password(text, 0o600, "postgres://me@a:1,b:2/shop").unwrap_err().to_string();
        assert!(error.contains("different passwords") && !error.contains("one,"), "{error}");
    }

    #[test]
    fn a_file_that_others_may_read_is_left_unread() {
        assert_eq!(password("*:*:*:*:s3cret", 0o644, "postgres://me@a/b").unwrap(), None);
        assert_eq!(password("*:*:*:*:s3cret", 0o600, "postgres://me@a/b").unwrap().as_deref(), Some("s3cret"));
    }
}
