//! How sessions are encrypted.
//!
//! With the feature `tls` a server's certificate is always verified, and its name too, against
//! the system's roots or those of `sslrootcert`: what `libpq` calls `verify-full`.

use std::path::Path;

use saga_store::{ErrorKind, StoreError};
use tokio_postgres::config::SslMode;
#[cfg(feature = "tls")]
use tokio_postgres::tls::MakeTlsConnect;

/// What makes a session's stream.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub(crate) struct Tls(tokio_postgres_rustls::MakeRustlsConnect);

#[cfg(feature = "tls")]
impl<S> MakeTlsConnect<S> for Tls
where
    tokio_postgres_rustls::MakeRustlsConnect: MakeTlsConnect<S>,
{
    type Stream = <tokio_postgres_rustls::MakeRustlsConnect as MakeTlsConnect<S>>::Stream;
    type TlsConnect = <tokio_postgres_rustls::MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect;
    type Error = <tokio_postgres_rustls::MakeRustlsConnect as MakeTlsConnect<S>>::Error;

    /// A socket of this machine has no name, and is never encrypted; something that could do it
    /// is made all the same, and refuses a name that is none.
    fn make_tls_connect(&mut self, name: &str) -> Result<Self::TlsConnect, Self::Error> {
        self.0.make_tls_connect(if name.is_empty() { "localhost" } else { name })
    }
}

/// What makes a session's stream.
#[cfg(not(feature = "tls"))]
pub(crate) type Tls = tokio_postgres::NoTls;

/// Files in the PEM format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// They stand for the system's root certificates.
    pub(crate) roots: Option<String>,
    /// What this side shows of itself, and its key.
    certificate: Option<String>,
    key: Option<String>,
}

impl Files {
    /// As named, or where `libpq` looks for them in the home folder.
    pub(crate) fn new(
        roots: Option<String>,
        certificate: Option<String>,
        key: Option<String>,
        home: Option<&str>,
    ) -> Self {
        let usual = |name: &str| {
            let path = format!("{}/.postgresql/{name}", home?);
            Path::new(&path).exists().then_some(path)
        };
        // A word, and no file: the system's.
        let roots = roots.or_else(|| usual("root.crt")).filter(|roots| roots != "system");
        let certificate = certificate.or_else(|| usual("postgresql.crt"));
        let key = key.or_else(|| usual("postgresql.key"));
        Self { roots, certificate, key }
    }
}

/// Without encryption, unless it is not to be had.
#[cfg(not(feature = "tls"))]
pub(crate) fn connector(mode: SslMode, _files: &Files) -> Result<Tls, StoreError> {
    if mode == SslMode::Require {
        return Err(invalid(
            "sslmode asks for TLS, which this build has not; build saga-postgres with the feature `tls`",
        ));
    }
    Ok(tokio_postgres::NoTls)
}

/// With the roots of a file, or the system's.
#[cfg(feature = "tls")]
pub(crate) fn connector(mode: SslMode, files: &Files) -> Result<Tls, StoreError> {
    use std::sync::Arc;

    let mut store = rustls::RootCertStore::empty();
    if mode != SslMode::Disable {
        for root in read_roots(files.roots.as_deref())? {
            // Some of a system's roots are of kinds that rustls does not take.
            drop(store.add(root));
        }
        if mode == SslMode::Require && store.is_empty() {
            return Err(invalid(
                "sslmode asks for TLS, and there are no root certificates; name a file in sslrootcert",
            ));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&format!("no TLS: {error}")))?
        .with_root_certificates(store);
    let config = match (&files.certificate, &files.key) {
        _ if mode == SslMode::Disable => config.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let (chain, secret) = (read_certificates(certificate, "certificate")?, read_key(key)?);
            config.with_client_auth_cert(chain, secret).map_err(|error| {
                invalid(&format!("the certificate in {certificate} and the key in {key} are of no use: {error}"))
            })?
        }
        (Some(_), None) => return Err(invalid("sslcert names a certificate; name its key in sslkey")),
        (None, _) => config.with_no_client_auth(),
    };
    Ok(Tls(tokio_postgres_rustls::MakeRustlsConnect::new(config)))
}

#[cfg(feature = "tls")]
type Certificate = rustls::pki_types::CertificateDer<'static>;

#[cfg(feature = "tls")]
fn read_roots(file: Option<&str>) -> Result<Vec<Certificate>, StoreError> {
    match file {
        Some(file) => read_certificates(file, "root certificate"),
        None => Ok(rustls_native_certs::load_native_certs().certs),
    }
}

#[cfg(feature = "tls")]
fn read_certificates(file: &str, what: &str) -> Result<Vec<Certificate>, StoreError> {
    use rustls::pki_types::pem::PemObject as _;

    let unreadable = |error| invalid(&format!("the {what} in {file} cannot be read: {error}"));
    let found = Certificate::pem_file_iter(file).map_err(unreadable)?.collect::<Result<Vec<_>, _>>();
    match found.map_err(unreadable)? {
        found if found.is_empty() => Err(invalid(&format!("there is no certificate in {file}"))),
        found => Ok(found),
    }
}

#[cfg(feature = "tls")]
fn read_key(file: &str) -> Result<rustls::pki_types::PrivateKeyDer<'static>, StoreError> {
    use rustls::pki_types::pem::PemObject as _;

    if is_for_all(file) {
        return Err(invalid(&format!("the key in {file} may be read by others; chmod 0600 it")));
    }
    rustls::pki_types::PrivateKeyDer::from_pem_file(file)
        .map_err(|error| invalid(&format!("the key in {file} cannot be read: {error}")))
}

/// As `libpq` has it: a key is its owner's alone, or root's and a group's.
#[cfg(all(feature = "tls", unix))]
fn is_for_all(file: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(file).is_ok_and(|file| file.mode() & if file.uid() == 0 { 0o037 } else { 0o077 } != 0)
}

#[cfg(all(feature = "tls", not(unix)))]
fn is_for_all(_: &str) -> bool {
    false
}

fn invalid(message: &str) -> StoreError {
    StoreError::new(ErrorKind::Invalid, message)
}
