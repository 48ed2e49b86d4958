//! Where the database is: URLs, and the variables that `libpq` reads.
//!
//! - `text`: what the parser of `tokio-postgres` does not know.
//! - `variables`: what completes an address. `password`: the password file.

mod password;
mod text;
mod variables;

use std::time::Duration;

use saga_store::{ErrorKind, StoreError};
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, TargetSessionAttrs};

use crate::tls::{self, Files, Tls};
use password::SOCKETS;
use variables::Service;

/// A database, and how it is reached.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) config: Config,
    /// The database as people are told of it: `app@db.example:5432/shop`. No password.
    pub(crate) place: String,
    /// Certificates, and the key of one's own.
    files: Files,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place)
    }
}

impl Address {
    /// Reads a URL, or `libpq`'s `key=value` form, completed from `PG*` variables.
    pub(crate) fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let mut text = text::take(url)?;
        let mut config: Config = text.rest.parse().map_err(|error| unparsed(&error))?;
        let environment = |name: &str| variable(name).filter(|value| !value.is_empty());
        let service = match text.service.take().or_else(|| environment("PGSERVICE")) {
            Some(name) => Service::read(&name, &environment)?,
            None => Service::default(),
        };
        let var = |name: &str| service.variable(name).or_else(|| environment(name));
        variables::complete(&mut config, &mut text, &var)?;
        if config.get_password().is_none()
            && let Some(password) = find_password(&config, &text, &var)?
        {
            config.password(password);
        }
        if config.get_channel_binding() == ChannelBinding::Require {
            let why = "channel_binding=require is not supported: the server is verified by its certificate instead \
                 (sslmode=verify-full)";
            return Err(invalid(why));
        }
        if config.get_hosts().iter().all(is_socket) {
            // A socket is never encrypted, and `libpq` does not ask for it.
            config.ssl_mode(SslMode::Disable);
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        // A server that is cut off is noticed before a lease is over.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(10));
        }
        if !text.says_idle {
            config.keepalives_idle(Duration::from_secs(10));
        }
        let files = Files::new(text.root_certificates, text.certificate, text.key, var("HOME").as_deref());
        let place = place(&config);
        Ok(Self { config, place, files })
    }

    /// How sessions are encrypted.
    pub(crate) fn tls(&self) -> Result<Tls, StoreError> {
        tls::connector(self.config.get_ssl_mode(), &self.files)
    }
}

fn find_password(
    config: &Config,
    text: &text::Text,
    var: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, StoreError> {
    if let Some(password) = var("PGPASSWORD") {
        return Ok(Some(password));
    }
    let usual = || Some(format!("{}/.pgpass", var("HOME")?));
    let Some(path) = text.password_file.clone().or_else(usual) else { return Ok(None) };
    let user = config.get_user().map(ToOwned::to_owned).or_else(|| var("USER")).or_else(|| var("LOGNAME"));
    password::from_file(&path, config, user.as_deref())
}

/// What the parser says names the part that is wrong. A word that it takes for an option may be a
/// part of a password.
fn unparsed(error: &tokio_postgres::Error) -> StoreError {
    let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if why.starts_with("unknown option") {
        return invalid(
            "it has an option that is not known; known are host, hostaddr, port, user, password, passfile, dbname, \
             service, options, application_name, sslmode, sslnegotiation, sslrootcert, sslcert, sslkey, connect_timeout, \
             tcp_user_timeout, keepalives, keepalives_idle, keepalives_interval, keepalives_retries, \
             target_session_attrs, load_balance_hosts",
        );
    }
    invalid(&why)
}

fn invalid(why: &str) -> StoreError {
    let message = format!(
        "this is no address of a PostgreSQL store: {why}; write postgres://user@host:port/database, or \
         postgres:///database?host=/var/run/postgresql for a socket"
    );
    StoreError::new(ErrorKind::Invalid, message)
}

/// Where `libpq` as Debian and as the project itself builds it looks for a server.
fn default_host() -> &'static str {
    SOCKETS
        .into_iter()
        .find(|folder| std::path::Path::new(folder).join(".s.PGSQL.5432").exists())
        .unwrap_or("localhost")
}

fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    }
}

fn is_socket(host: &Host) -> bool {
    match host {
        Host::Tcp(_) => false,
        #[cfg(unix)]
        Host::Unix(_) => true,
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
        assert_eq!(address.files.roots.as_deref(), Some("/x.pem"));
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(address.tls().err().map(|error| error.kind()), Some(ErrorKind::Invalid));
        for socket in ["postgres:///b?host=/tmp&sslmode=verify-full", "postgres:///b?host=/tmp"] {
            let socket = Address::parse(socket, none).unwrap();
            assert_eq!(socket.config.get_ssl_mode(), SslMode::Disable);
        }
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
    fn what_the_address_says_of_silence_is_respected() {
        let idle = |url: &str| Address::parse(url, none).unwrap().config.get_keepalives_idle();
        assert_eq!(idle("postgres://a/b"), Duration::from_secs(10));
        assert_eq!(idle("postgres://a/b?keepalives_idle=77"), Duration::from_secs(77));
        assert_eq!(idle("host=a keepalives_idle=7200"), Duration::from_secs(7200));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_and_not_passed_over() {
        let bound = |name: &str| (name == "PGCHANNELBINDING").then(|| "require".to_owned());
        assert!(Address::parse("postgres://a/b", bound).unwrap_err().to_string().contains("not supported"));
        let standby = |name: &str| (name == "PGTARGETSESSIONATTRS").then(|| "standby".to_owned());
        assert!(Address::parse("postgres://a/b", standby).unwrap_err().to_string().contains("a store writes"));
        assert!(Address::parse("postgres://a/b?target_session_attrs=primary", standby).is_ok());
        let error = Address::parse("postgres://a/b?sslmod=require", none).unwrap_err().to_string();
        assert!(error.contains("not known") && error.contains("sslmode"), "{error}");
    }

    #[test]
    fn an_address_by_number_is_reached_and_verified_as_it_is() {
        let numbers = |name: &str| (name == "PGHOSTADDR").then(|| "10.0.0.1, 10.0.0.2".to_owned());
        let address = Address::parse("postgres:///shop", numbers).unwrap();
        assert_eq!(address.place, "10.0.0.1:5432,10.0.0.2:5432/shop");
        assert_eq!(address.config.get_hostaddrs().len(), 2);
        let named = |name: &str| (name == "PGHOST").then(|| "db".to_owned()).or_else(|| numbers(name));
        assert!(Address::parse("postgres:///shop", named).unwrap_err().to_string().contains("as many hosts"));
    }

    #[test]
    fn a_service_comes_before_variables_and_after_the_address() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[shop]\nhost=db\nuser=app\ndbname=shop\npassword=s3cret\n").unwrap();
        let path = file.path().display().to_string();
        let variables = |name: &str| match name {
            "PGSERVICEFILE" => Some(path.clone()),
            "PGUSER" => Some("someone".to_owned()),
            "PGPORT" => Some("7".to_owned()),
            _ => None,
        };
        let address = Address::parse("postgres:///other?service=shop", variables).unwrap();
        assert_eq!(address.place, "app@db:7/other");
        assert_eq!(address.config.get_password(), Some("s3cret".as_bytes()));
        assert!(Address::parse("service=none", variables).unwrap_err().to_string().contains("no service \"none\""));
    }
}
