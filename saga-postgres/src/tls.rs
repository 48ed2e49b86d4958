//! How sessions are encrypted.
//!
//! With the feature `tls` a server's certificate is always verified, and its name too, against
//! the system's roots or those of `sslrootcert`: what `libpq` calls `verify-full`.

use saga_store::{ErrorKind, StoreError};
use tokio_postgres::config::SslMode;

/// What makes a session's stream.
#[cfg(feature = "tls")]
pub(crate) type Tls = tokio_postgres_rustls::MakeRustlsConnect;

/// What makes a session's stream.
#[cfg(not(feature = "tls"))]
pub(crate) type Tls = tokio_postgres::NoTls;

/// Without encryption, unless it is not to be had.
#[cfg(not(feature = "tls"))]
pub(crate) fn connector(mode: SslMode, _roots: Option<&str>) -> Result<Tls, StoreError> {
    if mode == SslMode::Require {
        let message = "sslmode asks for TLS, which this build has not; build saga-postgres with the feature `tls`";
        return Err(StoreError::new(ErrorKind::Invalid, message));
    }
    Ok(tokio_postgres::NoTls)
}

/// With the roots of a file, or the system's.
#[cfg(feature = "tls")]
pub(crate) fn connector(mode: SslMode, roots: Option<&str>) -> Result<Tls, StoreError> {
    use std::sync::Arc;

    let mut store = rustls::RootCertStore::empty();
    if mode != SslMode::Disable {
        for root in read_roots(roots)? {
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
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Tls::new(config))
}

#[cfg(feature = "tls")]
fn read_roots(file: Option<&str>) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, StoreError> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let Some(file) = file else { return Ok(rustls_native_certs::load_native_certs().certs) };
    let unreadable = |error| invalid(&format!("the root certificates in {file} cannot be read: {error}"));
    let roots = CertificateDer::pem_file_iter(file).map_err(unreadable)?.collect::<Result<Vec<_>, _>>();
    match roots.map_err(unreadable)? {
        roots if roots.is_empty() => Err(invalid(&format!("there are no certificates in {file}"))),
        roots => Ok(roots),
    }
}

#[cfg(feature = "tls")]
fn invalid(message: &str) -> StoreError {
    StoreError::new(ErrorKind::Invalid, message)
}
