//! Sessions that are encrypted, with a server whose certificates are made here.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use saga_postgres::PostgresStore;
use saga_store::{ErrorKind, StoreError};
use saga_test_server::{TestServer, free_port, fresh_name};

/// Who may sign.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this name, and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A server that encrypts, and the files that its clients have.
struct Place {
    _server: TestServer,
    folder: tempfile::TempDir,
    port: u16,
}

const WHO: &str = "
local   all all                trust
hostssl all by_certificate all cert
hostssl all by_password    all scram-sha-256
hostssl all saga           all trust
";

const ROLES: &str = "CREATE ROLE by_certificate LOGIN SUPERUSER;
    CREATE ROLE by_password LOGIN SUPERUSER PASSWORD 's3cret'";

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let (ours, others) = (Authority::new("ours"), Authority::new("others"));
        let (certificate, key) = ours.sign("localhost");
        let port = free_port();
        let files = [
            ("server.crt", &*certificate),
            ("server.key", &*key),
            ("ca.crt", &*ours.certificate),
            ("pg_hba.conf", WHO),
        ];
        let settings = format!("listen_addresses = 'localhost'\nport = {port}\nssl = on\nssl_ca_file = 'ca.crt'");
        let server = TestServer::start_with(&settings, &files);
        let url = format!("{}&port={port}", server.url());
        // It has a runtime of its own.
        std::thread::spawn(move || saga_tests::Database::at(&url).run(ROLES)).join().unwrap();

        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = ours.sign("by_certificate");
        for (name, text) in [
            ("ours.pem", &ours.certificate),
            ("others.pem", &others.certificate),
            ("mine.pem", &certificate),
            ("mine.key", &key),
            ("public.key", &key),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
            let mode = if name == "public.key" { 0o644 } else { 0o600 };
            std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        Place { _server: server, folder, port }
    })
}

impl Place {
    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        let roots = if parameters.contains("sslrootcert") {
            String::new()
        } else {
            format!("&sslrootcert={}", self.file("ours.pem"))
        };
        format!("postgres://{user}@{host}:{}/postgres?{parameters}{roots}", self.port)
    }
}

/// Whether a transaction's session is encrypted.
async fn is_encrypted(address: &str) -> Result<bool, StoreError> {
    let store = PostgresStore::builder(address).schema(fresh_name()).connect().await?;
    let tx = store.begin().await?;
    let row = tx.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap();
    Ok(row.get(0))
}

async fn refusal(address: &str) -> String {
    let error = is_encrypted(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_server_whose_certificate_holds_is_used_and_sessions_are_encrypted() {
    let place = place();
    for mode in ["require", "verify-ca", "verify-full", "prefer"] {
        assert!(is_encrypted(&place.url("saga", "localhost", &format!("sslmode={mode}"))).await.unwrap(), "{mode}");
    }
    let (port, roots) = (place.port, place.file("ours.pem"));
    let words =
        format!("host=localhost port={port} user=saga dbname=postgres sslmode=verify-full sslrootcert='{roots}'");
    assert!(is_encrypted(&words).await.unwrap());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let place = place();
    for mode in ["require", "verify-full"] {
        let parameters = format!("sslmode={mode}&sslrootcert={}", place.file("others.pem"));
        let said = refusal(&place.url("saga", "localhost", &parameters)).await;
        assert!(said.contains("certificate") && said.contains("sslrootcert"), "{said}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let place = place();
    let said = refusal(&place.url("saga", "127.0.0.1", "sslmode=require")).await;
    assert!(said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn a_server_lets_in_who_shows_a_certificate_and_nobody_else() {
    let place = place();
    let mine = format!("sslmode=require&sslcert={}&sslkey={}", place.file("mine.pem"), place.file("mine.key"));
    assert!(is_encrypted(&place.url("by_certificate", "localhost", &mine)).await.unwrap());
    let said = refusal(&place.url("by_certificate", "localhost", "sslmode=require")).await;
    assert!(said.contains("valid client certificate"), "{said}");
}

#[tokio::test]
async fn a_key_that_others_may_read_or_that_is_missing_is_refused() {
    let place = place();
    let public = format!("sslmode=require&sslcert={}&sslkey={}", place.file("mine.pem"), place.file("public.key"));
    let said = refusal(&place.url("by_certificate", "localhost", &public)).await;
    assert!(said.contains("chmod 0600"), "{said}");
    let none = format!("sslmode=require&sslcert={}", place.file("mine.pem"));
    let said = refusal(&place.url("by_certificate", "localhost", &none)).await;
    assert!(said.contains("name its key in sslkey"), "{said}");
}

#[tokio::test]
async fn a_password_goes_over_an_encrypted_session() {
    let place = place();
    assert!(is_encrypted(&place.url("by_password:s3cret", "localhost", "sslmode=require")).await.unwrap());
    let said = refusal(&place.url("by_password:wrong", "localhost", "sslmode=require")).await;
    assert!(said.contains("check user and password"), "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_encrypt_is_told_to_who_asks_for_it() {
    let port = free_port();
    let server = TestServer::start_private(&format!("listen_addresses = 'localhost'\nport = {port}"));
    let roots: PathBuf = place().folder.path().join("ours.pem");
    let url =
        |mode| format!("postgres://saga@localhost:{port}/postgres?sslmode={mode}&sslrootcert={}", roots.display());
    let said = refusal(&url("require")).await;
    assert!(said.contains("does not encrypt"), "{said}");
    assert!(!is_encrypted(&url("prefer")).await.unwrap());
    drop(server);
}
