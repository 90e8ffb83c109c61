//! Where a PostgreSQL database is, and how to speak to it: its URL.
//!
//! `postgres://USER:PASSWORD@HOST[:PORT][,HOST…]/DATABASE?…` with the parameters tokio-postgres knows
//! (`target_session_attrs=read-write` among several hosts finds the primary after a fail-over), and for TLS:
//!
//! | `sslmode` | |
//! |---|---|
//! | `disable` | none |
//! | `prefer` (the default) | where the server offers it; who answers is not checked |
//! | `require` | always; who answers is not checked unless `sslrootcert` is given |
//! | `verify-full` | always, with a certificate for the host's name from one of the system's roots, or from `sslrootcert` |
//!
//! `sslrootcert=FILE` names certificates in PEM. `verify-ca` and client certificates are not supported.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A server that does not answer at all is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One that went without a word, with its machine or the network, is known to be down within half a minute. Left alone,
/// TCP takes a quarter of an hour over it, and two hours where nothing was on its way.
const LIVENESS: &str = "tcp_user_timeout=20&keepalives_idle=10&keepalives_interval=5&keepalives_retries=3";

/// The URL of a database, without what must not be shown.
#[derive(Clone, PartialEq)]
pub struct Address {
    config: tokio_postgres::Config,
    verify: bool,
    roots: Option<PathBuf>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> anyhow::Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut rest, mut mode, mut roots) = (vec![LIVENESS], "prefer", None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", file)) => roots = Some(unescaped(file)?),
                _ => rest.push(parameter),
            }
        }
        let mut config: tokio_postgres::Config = format!("{place}?{}", rest.join("&"))
            .parse()
            .map_err(|error| anyhow!("the database's URL: {}", chain(&error)))?;
        ensure!(
            config.get_dbname().is_some(),
            "the database's URL names no database: postgres://HOST/DATABASE"
        );
        config.ssl_mode(match mode {
            "disable" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            "require" | "verify-full" => SslMode::Require,
            _ => bail!("sslmode is disable, prefer, require or verify-full"),
        });
        if config.get_application_name().is_none() {
            config.application_name("lockstep-server");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        let verify = mode == "verify-full" || (mode == "require" && roots.is_some());
        Ok(Self {
            config,
            verify,
            roots,
        })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn unescaped(text: &str) -> anyhow::Result<PathBuf> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.map(|hex| u8::from_str_radix(hex, 16)) {
            Some(code) => {
                plain.push(code.context("sslrootcert")?);
                at += 3;
            }
            None => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    Ok(String::from_utf8(plain).context("sslrootcert")?.into())
}

impl Address {
    pub(super) fn config(&self) -> &tokio_postgres::Config {
        &self.config
    }

    /// Whether it matters who answers.
    pub(super) fn verifies(&self) -> bool {
        self.verify
    }

    /// Whose word counts.
    pub(super) fn roots(&self) -> Option<&Path> {
        self.roots.as_deref()
    }

    pub(super) fn tls(&self) -> anyhow::Result<MakeRustlsConnect> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = if self.verify {
            builder
                .with_root_certificates(self.root_store()?)
                .with_no_client_auth()
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
                .with_no_client_auth()
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn root_store(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match &self.roots {
            Some(file) => {
                let certificates = CertificateDer::pem_file_iter(file);
                for certificate in certificates.with_context(|| format!("cannot read {}", file.display()))? {
                    roots.add(certificate?)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        ensure!(
            !roots.is_empty(),
            "there are no root certificates to check the database's by"
        );
        Ok(roots)
    }

    /// One connection, for what is not a store's daily work.
    pub(super) async fn connect(&self) -> anyhow::Result<tokio_postgres::Client> {
        let (client, connection) = self
            .config
            .connect(self.tls()?)
            .await
            .context("cannot reach the database")?;
        // It ends with the client, and the client's calls tell of its failure.
        tokio::spawn(connection);
        Ok(client)
    }
}

/// Checks signatures, but not who signed: against those who only listen.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_far_the_server_is_trusted_and_for_how_long_waited_for() {
        let parsed =
            |query: &str| format!("postgres://u:secret@db.example/lockstep{query}").parse::<Address>();
        let mode = |query: &str| {
            let address = parsed(query).expect("an address");
            (address.config.get_ssl_mode(), address.verify, address.roots)
        };
        assert_eq!(mode(""), (SslMode::Prefer, false, None));
        assert_eq!(mode("?sslmode=disable"), (SslMode::Disable, false, None));
        assert_eq!(
            mode("?sslmode=require&connect_timeout=3"),
            (SslMode::Require, false, None)
        );
        assert_eq!(
            mode("?sslrootcert=/a%20b.pem&sslmode=require"),
            (SslMode::Require, true, Some("/a b.pem".into()))
        );
        assert_eq!(mode("?sslmode=verify-full"), (SslMode::Require, true, None));
        let patience = |query: &str| {
            let config = parsed(query).expect("an address").config;
            (
                config.get_tcp_user_timeout().copied(),
                config.get_keepalives_idle(),
            )
        };
        let seconds = Duration::from_secs;
        assert_eq!(patience(""), (Some(seconds(20)), seconds(10)));
        assert_eq!(
            patience("?tcp_user_timeout=60&keepalives_idle=30"),
            (Some(seconds(60)), seconds(30))
        );
        assert!(parsed("?sslmode=verify-ca").is_err());
        assert!(parsed("?unheard=of").is_err());
        assert!("postgres://db.example".parse::<Address>().is_err());
    }

    #[test]
    fn an_address_never_shows_its_password() {
        let address: Address = "postgres://u:secret@db.example/lockstep"
            .parse()
            .expect("an address");
        let shown = format!("{address:?}");
        assert!(shown.contains("lockstep") && !shown.contains("secret"), "{shown}");
    }
}
