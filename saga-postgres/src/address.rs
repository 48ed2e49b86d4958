//! Where the database is: URLs, and the variables that `libpq` reads.

use std::time::Duration;

use saga_store::{ErrorKind, StoreError};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::tls::{self, Tls};

/// A database, and how it is reached.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) config: Config,
    /// The database as people are told of it: `app@db.example:5432/shop`. No password.
    pub(crate) place: String,
    /// A file that stands for the system's root certificates.
    root_certificates: Option<String>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place)
    }
}

impl Address {
    /// Reads a URL, or `libpq`'s `key=value` form, completed from `PG*` variables.
    pub(crate) fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        // What the parser says names the part that is wrong; the text itself may have a password.
        let (url, roots, says_mode) = take_tls(url);
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            invalid(&why)
        })?;
        let var = |name: &str| variable(name).filter(|value| !value.is_empty());
        complete(&mut config, var)?;
        if let Some(mode) = var("PGSSLMODE").filter(|_| !says_mode) {
            config.ssl_mode(match mode.as_str() {
                "disable" => SslMode::Disable,
                "allow" | "prefer" => SslMode::Prefer,
                "require" | "verify-ca" | "verify-full" => SslMode::Require,
                _ => return Err(invalid("PGSSLMODE is none of disable, prefer, require, verify-full")),
            });
        }
        let root_certificates = roots.or_else(|| var("PGSSLROOTCERT"));
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        // A server that is cut off is noticed before a lease is over.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(10));
        }
        config.keepalives_idle(Duration::from_secs(10));
        let place = place(&config);
        Ok(Self { config, place, root_certificates })
    }

    /// How sessions are encrypted.
    pub(crate) fn tls(&self) -> Result<Tls, StoreError> {
        tls::connector(self.config.get_ssl_mode(), self.root_certificates.as_deref())
    }
}

/// What `libpq` knows and the parser does not, taken out of a URL: the address without it, or as
/// the parser knows it; the file of root certificates; and whether it says how sessions are
/// encrypted.
fn take_tls(url: &str) -> (String, Option<String>, bool) {
    let Some((address, query)) = url.split_once('?').filter(|_| url.contains("://")) else {
        return (url.to_owned(), None, url.contains("sslmode"));
    };
    let (mut rest, mut roots, mut says) = (Vec::new(), None, false);
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("sslrootcert", file)) => roots = Some(file.replace("%2F", "/").replace("%2f", "/")),
            Some(("sslmode", mode)) => {
                says = true;
                let mode = if mode.starts_with("verify-") { "require" } else { mode };
                rest.push(format!("sslmode={mode}"));
            }
            // Folders of sockets, which the parser takes one at a time.
            Some(("host", hosts)) => {
                let hosts = hosts.replace("%2C", ",").replace("%2c", ",");
                rest.extend(hosts.split(',').map(|host| format!("host={host}")));
            }
            _ => rest.push(part.to_owned()),
        }
    }
    let mark = if rest.is_empty() { "" } else { "?" };
    (format!("{address}{mark}{}", rest.join("&")), roots, says)
}

fn invalid(why: &str) -> StoreError {
    let message = format!(
        "this is no address of a PostgreSQL store: {why}; write postgres://user@host:port/database, or \
         postgres:///database?host=/var/run/postgresql for a socket"
    );
    StoreError::new(ErrorKind::Invalid, message)
}

fn complete(config: &mut Config, var: impl Fn(&str) -> Option<String>) -> Result<(), StoreError> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let ports = config.get_ports().to_vec();
        let hosts = var("PGHOST").unwrap_or_else(|| default_host().to_owned());
        for host in hosts.split(',') {
            config.host(host);
        }
        if ports.is_empty() {
            for port in var("PGPORT").iter().flat_map(|ports| ports.split(',')) {
                config.port(port.trim().parse().map_err(|_| invalid("PGPORT is not a number"))?);
            }
        }
    }
    if config.get_user().is_none()
        && let Some(user) = var("PGUSER")
    {
        config.user(user);
    }
    if config.get_dbname().is_none()
        && let Some(database) = var("PGDATABASE")
    {
        config.dbname(database);
    }
    if config.get_application_name().is_none() {
        config.application_name(var("PGAPPNAME").unwrap_or_else(|| "saga".to_owned()));
    }
    if config.get_options().is_none()
        && let Some(options) = var("PGOPTIONS")
    {
        config.options(options);
    }
    if config.get_connect_timeout().is_none()
        && let Some(seconds) = var("PGCONNECT_TIMEOUT")
    {
        let seconds = seconds.parse().map_err(|_| invalid("PGCONNECT_TIMEOUT is not a number of seconds"))?;
        config.connect_timeout(Duration::from_secs(seconds));
    }
    if config.get_password().is_none()
        && let Some(password) = var("PGPASSWORD").or_else(|| from_password_file(config, &var))
    {
        config.password(password);
    }
    Ok(())
}

/// Where `libpq` as Debian and as the project itself builds it looks for a server.
fn default_host() -> &'static str {
    let sockets = ["/var/run/postgresql", "/run/postgresql", "/tmp"];
    sockets
        .into_iter()
        .find(|folder| std::path::Path::new(folder).join(".s.PGSQL.5432").exists())
        .unwrap_or("localhost")
}

fn from_password_file(config: &Config, var: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let path = var("PGPASSFILE").or_else(|| Some(format!("{}/.pgpass", var("HOME")?)))?;
    let text = std::fs::read_to_string(path).ok()?;
    let host = config.get_hosts().first().map_or_else(|| "localhost".to_owned(), host_name);
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user()?;
    let wanted = [host.as_str(), &port, config.get_dbname().unwrap_or(user), user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let (password, keys) = fields.split_last().filter(|(_, keys)| keys.len() == wanted.len())?;
        keys.iter().zip(wanted).all(|(key, wanted)| key == "*" || key == wanted).then(|| password.clone())
    })
}

/// The fields of a line of a password file: colons between them, backslashes before colons and
/// backslashes within.
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

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432);
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| format!("{}:{}", host_name(host), port(index)))
        .collect();
    let user = config.get_user().unwrap_or_default();
    let at = if user.is_empty() { "" } else { "@" };
    format!("{user}{at}{}/{}", hosts.join(","), config.get_dbname().unwrap_or(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn an_address_is_told_without_its_password() {
        let address = Address::parse("postgres://app:s3cret@a,b:5433/shop", none).unwrap();
        assert_eq!(address.place, "app@a:5432,b:5433/shop");
        assert!(!format!("{address:?}{:?}", address.config).contains("s3cret"));
        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        let error = Address::parse("postgres://app:s3cret@a:port/shop", none).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!format!("{error}{error:?}").contains("s3cret"), "{error:?}");
    }

    #[test]
    fn variables_complete_an_address_and_never_override_it() {
        let variables = |name: &str| {
            let value = match name {
                "PGHOST" => "/sockets",
                "PGPORT" => "6000",
                "PGUSER" => "someone",
                "PGDATABASE" => "other",
                "PGPASSWORD" => "s3cret",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let address = Address::parse("postgres:///shop", variables).unwrap();
        assert_eq!(address.place, "someone@/sockets:6000/shop");
        assert_eq!(address.config.get_password(), Some("s3cret".as_bytes()));
        let address = Address::parse("postgres://me:mine@host/shop", variables).unwrap();
        assert_eq!(address.place, "me@host:5432/shop");
        assert_eq!(address.config.get_password(), Some("mine".as_bytes()));
    }

    #[test]
    fn what_libpq_knows_of_encryption_is_understood() {
        let address = Address::parse("postgres://a/b?sslmode=verify-full&sslrootcert=/x.pem&connect_timeout=3", none);
        let address = address.unwrap();
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.root_certificates.as_deref(), Some("/x.pem"));
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(address.tls().err().map(|error| error.kind()), Some(ErrorKind::Invalid));
        let disabled = |name: &str| (name == "PGSSLMODE").then(|| "disable".to_owned());
        assert_eq!(Address::parse("postgres://a/b", disabled).unwrap().config.get_ssl_mode(), SslMode::Disable);
        let address = Address::parse("postgres://a/b?sslmode=prefer", disabled).unwrap();
        assert_eq!(address.config.get_ssl_mode(), SslMode::Prefer);
    }

    #[test]
    fn several_sockets_are_several_servers() {
        let address = Address::parse("postgres://me@/shop?host=/one,/two", none).unwrap();
        assert_eq!(address.place, "me@/one:5432,/two:5432/shop");
        let address = Address::parse("postgres://me@/shop?host=%2Fone%2C%2Ftwo&port=1,2", none).unwrap();
        assert_eq!(address.place, "me@/one:1,/two:2/shop");
    }

    #[test]
    fn a_line_of_a_password_file_has_escapes() {
        assert_eq!(fields(r"h\:1:5432:*:me:a\\b"), ["h:1", "5432", "*", "me", r"a\b"]);
    }
}
